// The page of an exported model: loads it once, asks it in a worker, shows its record as fields. Sends nothing.
import { Wllama } from "./wllama/index.min.js";

const at = (id) => document.getElementById(id);
const say = (text) => { at("state").textContent = text; };
const quiet = { debug() {}, log() {}, warn() {}, error: console.error };

const task = await (await fetch("task.json")).json();
document.title = task.name;
at("name").textContent = task.name;
at("task").textContent = task.instruction;

let model;
let stopping;
let given = {}; // the record as the model wrote it

async function download(url) {
  const reply = await fetch(url);
  if (!reply.ok) throw new Error(`${url}: ${reply.status}`);
  const total = Number(reply.headers.get("Content-Length")) || task.bytes;
  const parts = [];
  let seen = 0;
  for (const reader = reply.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts);
    parts.push(value);
    seen += value.length;
    at("progress").value = Math.min(1, seen / total);
    say(`Loading the model: ${(seen / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB`);
  }
}

async function load() {
  const begun = performance.now();
  const blob = await download("model.gguf");
  say("Starting the model …");
  model = new Wllama({ default: new URL("wllama/wllama.wasm", location).href }, { logger: quiet, suppressNativeLog: true });
  await model.loadModel([blob], { n_ctx: task.context, n_gpu_layers: 0, warmup: false });
  at("progress").hidden = true;
  at("go").disabled = false;
  const threads = model.getNumThreads();
  say(`Ready after ${((performance.now() - begun) / 1000).toFixed(1)} s, ${threads} thread${threads === 1 ? "" : "s"}.`);
}

async function ask(text) {
  const system = task.system ? [{ role: "system", content: task.system }] : [];
  const asked = { messages: [...system, { role: "user", content: text }], temperature: 0, top_k: 1, max_tokens: task.tokens };
  if (task.grammar) asked.grammar = task.grammar;
  stopping = new AbortController();
  return model.createChatCompletion({ ...asked, abortSignal: stopping.signal });
}

function refusal(message) {
  const [, read, most] = message.match(/\((\d+) tokens\).* context size \((\d+) tokens\)/) ?? [];
  if (!most) return `It did not answer: ${message}`;
  return `Your text is too long: the model would read ${read} tokens, and takes ${most}. Shorten it.`;
}

function written(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(written).join("\n");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// What a person typed into a field, in the type that the schema gives it.
function read(text, shape) {
  const kinds = [shape?.type ?? "string"].flat();
  if (text.trim() === "" && kinds.includes("null")) return null;
  if (kinds.includes("array")) return text.split("\n").filter((line) => line.trim()).map((line) => read(line, shape.items));
  if (kinds.includes("number") || kinds.includes("integer")) return Number.isNaN(Number(text)) ? text : Number(text);
  if (kinds.includes("boolean")) return text.trim() === "true";
  if (kinds.includes("object")) try { return JSON.parse(text); } catch { return text; }
  return text;
}

function show(text) {
  at("answer").hidden = false;
  at("fields").replaceChildren();
  at("plain").textContent = "";
  let record;
  try { record = JSON.parse(text); } catch { record = null; }
  const fields = record && typeof record === "object" && !Array.isArray(record);
  at("issue").hidden = !(fields && "title" in record);
  if (!fields) { at("plain").textContent = text; return; }
  given = record;
  for (const [key, value] of Object.entries(record)) {
    const label = document.createElement("label");
    const area = document.createElement("textarea");
    label.htmlFor = area.id = `field-${key}`;
    label.textContent = key;
    area.value = written(value);
    area.rows = Math.min(8, Math.max(1, area.value.split("\n").length, Math.ceil(area.value.length / 70)));
    area.dataset.key = key;
    area.addEventListener("input", link);
    at("fields").append(label, area);
  }
  link();
}

function current() {
  const areas = [...at("fields").querySelectorAll("textarea")];
  return Object.fromEntries(areas.map(({ value, dataset: { key } }) => [key, value === written(given[key]) ? given[key] : read(value, task.schema?.properties?.[key])]));
}

function link() {
  const repository = at("repository").value.trim();
  const record = current();
  const known = /^[\w.-]+\/[\w.-]+$/.test(repository);
  at("open").hidden = !known;
  if (!known) return;
  const lines = Object.entries(record).filter(([key, value]) => key !== "title" && value !== null && written(value));
  const body = lines.map(([key, value]) => `**${key}**\n${Array.isArray(value) ? value.map((one, n) => `${n + 1}. ${written(one)}`).join("\n") : written(value)}`);
  const query = new URLSearchParams({ title: written(record.title), body: body.join("\n\n") });
  at("open").href = `https://github.com/${repository}/issues/new?${query}`;
}

at("repository").addEventListener("input", link);
at("stop").addEventListener("click", () => stopping?.abort());
at("copy").addEventListener("click", async () => {
  const text = at("fields").children.length ? JSON.stringify(current(), null, 2) : at("plain").textContent;
  await navigator.clipboard.writeText(text);
  say("Copied.");
});
at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!at("text").value.trim()) return;
  at("go").disabled = true;
  at("stop").hidden = false;
  say("Answering …");
  const begun = performance.now();
  try {
    const reply = await ask(at("text").value);
    const seconds = (performance.now() - begun) / 1000;
    const { completion_tokens: tokens } = reply.usage ?? {};
    show(reply.choices[0].message.content.trim());
    at("speed").textContent = tokens ? `${tokens} tokens in ${seconds.toFixed(1)} s, ${(tokens / seconds).toFixed(0)} tokens/s` : "";
    say(reply.choices[0].finish_reason === "length" ? "Cut off: the answer was longer than the model may write here." : "Done.");
  } catch (error) {
    say(error.name === "AbortError" ? "Stopped." : refusal(error.message));
  } finally {
    at("go").disabled = false;
    at("stop").hidden = true;
  }
});

load().catch((error) => say(`The model could not be loaded: ${error.message}. Reload the page; if that does not help, your browser may lack memory or WebAssembly.`));
