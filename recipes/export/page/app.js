// The page of an exported model: loads it once, asks it in a worker, shows its record as fields. Sends nothing.
import { at, copied, fetched, say, titled } from "./common.js";
import { Wllama } from "./wllama/index.min.js";

const quiet = { debug() {}, log() {}, warn() {}, error: console.error };

const LONGEST_LINK = 8000; // GitHub takes addresses of at most 8,191 bytes
const LONGEST_TITLE = 256; // and titles of so many letters

let task;
let model;
let stopping;
let given = {}; // the record as the model wrote it

async function download(url) {
  const reply = await fetched(url);
  const parts = [];
  let seen = 0;
  for (const reader = reply.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done && seen !== task.bytes) throw new Error(`${url} has ${seen} bytes instead of ${task.bytes}`);
    if (done) return new Blob(parts);
    parts.push(value);
    seen += value.length;
    at("progress").value = Math.min(1, seen / task.bytes);
    say(`Loading the model: ${(seen / 1e6).toFixed(0)} of ${(task.bytes / 1e6).toFixed(0)} MB`);
  }
}

async function load() {
  say("Loading …");
  const begun = performance.now();
  task = await titled();
  const blob = await download("model.gguf");
  say("Starting the model …");
  // Its cache is not used, and browsers have no place for one on pages over plain http, such as one that a phone opens.
  const options = { logger: quiet, suppressNativeLog: true, cacheManager: {} };
  model = new Wllama({ default: new URL("wllama/wllama.wasm", location).href }, options);
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

// Why an answer was cut off, where `read` tokens were those of the question.
function cutOff(read) {
  const room = task.context - read;
  if (room >= task.tokens) return "Cut off: the answer was longer than the model may write here.";
  return `Cut off: your text takes ${read} of the ${task.context} tokens that the model takes, which leaves ${room} for the answer. Shorten it.`;
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
  if (kinds.includes("number")) return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
  if (kinds.includes("boolean")) return { true: true, false: false }[text.trim()] ?? text;
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

// "owner/name", also of a pasted address of GitHub; nothing where the text names no repository.
function repositoryIn(text) {
  const path = text.trim().replace(/^(https?:\/\/)?(www\.)?github\.com\//i, "");
  const [, owner, name] = path.match(/^([a-z\d][\w-]*)\/([\w.-]+?)(?:\.git)?(?:[/?#].*)?$/i) ?? [];
  return !name || /^\.+$/.test(name) ? "" : `${owner}/${name}`;
}

// The beginning of a text, as long as `fits`.
function shortened(text, fits) {
  if (fits(text)) return text;
  const letters = [...text];
  const part = (count) => `${letters.slice(0, count).join("")}…`;
  let [most, least] = [letters.length, 0];
  while (least < most - 1) {
    const middle = (least + most) >> 1;
    if (fits(part(middle))) least = middle; else most = middle;
  }
  return part(least);
}

function link() {
  const repository = repositoryIn(at("repository").value);
  const record = current();
  at("open").hidden = at("shorter").hidden = !repository;
  at("unknown").hidden = repository || !at("repository").value.trim();
  if (!repository) return;
  const lines = Object.entries(record).filter(([key, value]) => key !== "title" && value !== null && written(value));
  const body = lines.map(([key, value]) => `**${key}**\n${Array.isArray(value) ? value.map((one, n) => `${n + 1}. ${written(one)}`).join("\n") : written(value)}`);
  const title = shortened(written(record.title), (text) => [...text].length <= LONGEST_TITLE);
  const address = (text) => `https://github.com/${repository}/issues/new?${new URLSearchParams({ title, body: text })}`;
  const whole = body.join("\n\n");
  const fitting = shortened(whole, (text) => address(text).length <= LONGEST_LINK);
  at("shorter").hidden = fitting === whole && title === written(record.title);
  at("open").href = address(fitting);
}

at("repository").addEventListener("input", link);
at("stop").addEventListener("click", () => stopping?.abort());
at("copy").addEventListener("click", async () => {
  const text = at("fields").children.length ? JSON.stringify(current(), null, 2) : at("plain").textContent;
  say(await copied(text));
});
at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!at("text").value.trim()) { say("There is no text yet."); return; }
  at("answer").hidden = true;
  at("speed").textContent = "";
  at("go").disabled = true;
  at("stop").hidden = false;
  say("Answering …");
  const begun = performance.now();
  try {
    const reply = await ask(at("text").value);
    const seconds = (performance.now() - begun) / 1000;
    const { completion_tokens: tokens, prompt_tokens: asked } = reply.usage;
    show(reply.choices[0].message.content.trim());
    at("speed").textContent = `${tokens} tokens in ${seconds.toFixed(1)} s, ${(tokens / seconds).toFixed(0)} tokens/s`;
    say(reply.choices[0].finish_reason === "length" ? cutOff(asked) : "Done.");
  } catch (error) {
    say(error.name === "AbortError" ? "Stopped." : refusal(error.message));
  } finally {
    at("go").disabled = false;
    at("stop").hidden = true;
  }
});

load().catch((error) => say(`The model could not be loaded: ${error.message}. Reload the page; if that does not help, your browser may lack memory or WebAssembly.`));
