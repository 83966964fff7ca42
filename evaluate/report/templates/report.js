// What-if sliders, theme, gallery filter. Reads the embedded report.json; the formulas are those of evaluate/cost/payback.py.
(() => {
  "use strict";
  document.documentElement.classList.add("js");
  const report = JSON.parse(document.getElementById("report").textContent);
  const start = report.what_if;
  const byId = (id) => document.getElementById(id);

  const theme = byId("theme");
  theme.addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  });

  byId("print").addEventListener("click", () => window.print());

  const money = (v) => {
    if (v === null) return "unpriced";
    if (v === 0) return "$0";
    const size = Math.abs(v);
    if (size >= 1) return (v < 0 ? "-$" : "$") + size.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
    return (v < 0 ? "-$" : "$") + size.toFixed(Math.min(12, 2 - Math.floor(Math.log10(size))));
  };
  const count = (v) => v >= 1e10 ? Math.round(v / 1e9).toLocaleString("en-US") + " billion"
    : v >= 1e7 ? Math.round(v / 1e6).toLocaleString("en-US") + " million" : Math.round(v).toLocaleString("en-US");
  const times = (n, noun) => n === 1 ? `1 ${noun}` : `${n} ${noun}s`;
  const span = (m) => m < 1 / 730 ? "under an hour" : m < 1 / 30 ? times(Math.round(m * 730), "hour")
    : m < 2 ? times(Math.round(m * 30.4), "day") : `${m.toFixed(1)} months`;

  const costs = (use, hourly, factor) => {
    const own = (kind, usd, speed) => usd !== null && kind === "machine" ? hourly / (3600 * speed * use) : usd;
    const small = own(start.small_kind, start.small_usd_per_request, start.small_requests_per_s);
    const large = own(start.large_kind, start.large_usd_per_request, start.large_requests_per_s);
    const time = start.usd_per_hour === null ? 0 : start.fixed_seconds / 3600 * hourly;
    const fixed = start.fixed_usd === null ? null : start.fixed_money_usd + time;
    return { small, large: large === null ? null : large * factor, fixed };
  };

  const draw = (small, large, fixed, crossing) => {
    const chart = document.querySelector(".money");
    if (!chart) return;
    const L = 64, R = 696, B = 308, T = 30;
    const far = crossing ? 2.5 * crossing : 1e6;
    const top = Math.max(large * far, fixed + small * far) * 1.08 || 1;
    const x = (v) => L + (v / far) * (R - L), y = (v) => B - (v / top) * (B - T);
    const ns = "http://www.w3.org/2000/svg";
    chart.replaceChildren();
    const add = (tag, attributes, words) => {
      const node = document.createElementNS(ns, tag);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      if (words !== undefined) node.textContent = words;
      chart.append(node);
    };
    for (let i = 0; i <= 4; i += 1) {
      const v = (top / 1.08) * i / 4, h = (far * i) / 4;
      add("line", { x1: L, x2: R, y1: y(v), y2: y(v), class: "grid" });
      add("text", { x: L - 8, y: y(v) + 4, "text-anchor": "end" }, money(Number(v.toPrecision(2))));
      add("line", { x1: x(h), x2: x(h), y1: B, y2: B + 5, class: "axis" });
      add("text", { x: x(h), y: B + 19, "text-anchor": "middle" }, count(h));
    }
    add("line", { x1: L, x2: R, y1: B, y2: B, class: "axis" });
    add("text", { x: (L + R) / 2, y: B + 42, "text-anchor": "middle", class: "name" }, "requests answered");
    add("text", { x: L, y: 14, class: "name" }, "USD spent in total");
    add("line", { x1: x(0), y1: y(0), x2: x(far), y2: y(large * far), class: "run large" });
    add("line", { x1: x(0), y1: y(fixed), x2: x(far), y2: y(fixed + small * far), class: "run small" });
    if (crossing) {
      const h = y(fixed + small * crossing);
      add("line", { x1: x(crossing), x2: x(crossing), y1: h, y2: B, class: "drop" });
      add("circle", { cx: x(crossing), cy: h, r: 5, class: "crossing" });
      add("text", { x: x(crossing) + 8, y: B - 8, class: "label" }, `${count(crossing)} requests`);
    }
  };

  const verdict = (margin) => {
    if (start.delta === null) return "no comparison";
    if (report.verdict.withheld.length) return report.verdict.word;
    const word = start.ci95[0] > 0 ? "BETTER" : start.lower_one_sided95 > -margin ? "NOT WORSE"
      : start.ci95[1] < 0 ? "WORSE" : "INCONCLUSIVE";
    const said = report.verdict.qualifier ? `${report.verdict.qualifier}: ${word}` : word;
    return margin === report.margin ? said : `${said} (margin moved from ${(report.margin * 100).toFixed(1)} points after the answers)`;
  };
  const silent = report.break_even.status === "not_stated"; // the verdict or the prices carry no pay-back
  const held = report.break_even.price_holds; // else a price is withheld, and no slider makes one

  let drawn = false;
  const moved = new Set(); // sliders have steps: one that was not moved stands for the report's own figure
  const update = () => {
    const at = (id, exact, read) => moved.has(id) ? read(Number(byId(id).value)) : exact;
    const volume = 10 ** Number(byId("volume").value), factor = 2 ** Number(byId("factor").value);
    const use = at("use", start.utilisation, (v) => v / 100), margin = at("margin", report.margin, (v) => v / 100);
    const hourly = at("hourly", start.usd_per_hour, (v) => v);
    const { small, large, fixed } = costs(use, hourly, factor);
    const known = small !== null && large !== null && fixed !== null;
    const crossing = known && !silent && large > small ? Math.ceil(fixed / (large - small)) : null;
    const none = silent ? "not stated" : known ? "never" : "unpriced";
    const set = (id, words) => { byId(id).textContent = words; };
    set("volume-out", count(volume)); set("use-out", `${Math.round(use * 100)} %`); set("hourly-out", money(hourly));
    set("factor-out", `× ${Number(factor.toPrecision(2))}`); set("margin-out", `${(margin * 100).toFixed(1)} points`);
    const price = (kind, usd) => kind === "withheld" ? "not stated" : money(usd === null ? null : usd * 1000);
    set("out-small", price(start.small_kind, small)); set("out-large", price(start.large_kind, large));
    set("out-requests", crossing === null ? none : count(crossing));
    set("out-months", crossing === null ? none : span(crossing / volume));
    set("out-saving", silent || !held ? "not stated" : small === null || large === null ? "unpriced" : money((large - small) * volume));
    set("out-verdict", verdict(margin));
    if (known && drawn) draw(small, large, fixed, crossing);
  };
  if (byId("volume")) {
    document.querySelectorAll(".what-if input").forEach((input) => input.addEventListener("input", () => { moved.add(input.id); drawn = true; update(); }));
    byId("start-over").addEventListener("click", () => { byId("sliders").reset(); moved.clear(); update(); });
    update();
  }

  const shownAtOnce = 6;
  const cases = [...document.querySelectorAll(".case")];
  let kind = "only_small", shown = shownAtOnce;
  const filter = () => {
    const wanted = cases.filter((c) => c.dataset.kind === kind);
    cases.forEach((c) => { c.hidden = true; });
    wanted.slice(0, shown).forEach((c) => { c.hidden = false; });
    byId("more").hidden = shown >= wanted.length;
    byId("none").hidden = wanted.length > 0;
    document.querySelectorAll(".tabs button").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.kind === kind)));
  };
  document.querySelectorAll(".tabs button").forEach((b) => b.addEventListener("click", () => { kind = b.dataset.kind; shown = shownAtOnce; filter(); }));
  if (byId("more")) { byId("more").addEventListener("click", () => { shown += shownAtOnce; filter(); }); filter(); }
})();
