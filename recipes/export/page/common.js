// What both pages do: their boxes, what they say, their task, the clipboard.
export const at = (id) => document.getElementById(id);
export const say = (text) => { at("state").textContent = text; };

export async function fetched(url) {
  const reply = await fetch(url);
  if (!reply.ok) throw new Error(`${url}: ${reply.status}`);
  return reply;
}

// The task, once its name and instruction stand on the page.
export async function titled() {
  const task = await (await fetched("task.json")).json();
  document.title = task.name;
  at("name").textContent = task.name;
  at("task").textContent = task.instruction;
  return task;
}

// Copies a text, and says whether it could. Browsers let pages over https and on this computer; others ask as of old.
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied.";
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done ? "Copied." : "The browser does not let this page copy: select the text and copy it.";
  }
}
