// Lines over steps, as SVG in the colours of the page; whoever points at them reads the values of that step.
// Called again with new data while a run goes on, so everything that it keeps is at the element.
const SVG = "http://www.w3.org/2000/svg";
const LEFT = 54, RIGHT = 18, TOP = 8, BOTTOM = 24, TICK_PX = { x: 90, y: 44 };

const make = (name, attributes, text) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
};

const say = (value) => {
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-3 || size >= 1e9)) return value.toExponential(2).replace(/\.?0+e/, "e");
  return value.toLocaleString("en", { maximumSignificantDigits: size >= 1000 ? 6 : 4 });
};

// Round numbers from low to high, about `count` of them, never so few that one stands alone.
const ticks = (low, high, count, whole) => {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const fits = (one) => one >= 0.8 * rough && (!whole || Number.isInteger(one));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find(fits) ?? 1;
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high + step * 1e-9; n += 1) found.push(n * step || 0);
  return found;
};

const ends = (lists) => {
  let low = Infinity, high = -Infinity;
  for (const list of lists) for (const value of list) { low = Math.min(low, value); high = Math.max(high, value); }
  return low < high ? [low, high] : [low - 0.5, low + 0.5];
};

const nearest = (steps, wanted) => {
  let low = 0, high = steps.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < wanted) low = middle + 1; else high = middle;
  }
  return low > 0 && wanted - steps[low - 1] < steps[low] - wanted ? low - 1 : low;
};

function draw(chart, data) {
  const width = chart.clientWidth, height = data.height;
  if (!width) return;
  const [first, last] = ends(data.lines.map((line) => line.steps));
  const [low, high] = ends(data.lines.map((line) => line.values));
  const x = (step) => LEFT + ((step - first) / (last - first)) * (width - LEFT - RIGHT);
  const y = (value) => height - BOTTOM - ((value - low) / (high - low)) * (height - TOP - BOTTOM);
  const svg = make("svg", { width, height, role: "img", "aria-label": data.about });
  for (const value of ticks(low, high, (height - TOP - BOTTOM) / TICK_PX.y)) {
    svg.append(make("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    svg.append(make("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, say(value)));
  }
  for (const step of ticks(first, last, (width - LEFT - RIGHT) / TICK_PX.x, true)) {
    svg.append(make("text", { x: x(step), y: height - 6, "text-anchor": "middle" }, say(step)));
  }
  svg.append(make("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: height - BOTTOM, y2: height - BOTTOM }));
  for (const line of data.lines) {
    const points = line.steps.map((step, n) => `${x(step).toFixed(1)},${y(line.values[n]).toFixed(1)}`);
    svg.append(
      points.length > 1
        ? make("polyline", {
            points: points.join(" "), fill: "none", stroke: line.color, "stroke-width": 1.8,
            "stroke-dasharray": line.dashed ? "6 4" : "none",
          })
        : make("circle", { cx: x(line.steps[0]), cy: y(line.values[0]), r: 4, fill: line.color }),
    );
  }
  const mark = make("line", { class: "mark", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
  svg.append(mark);
  const words = document.createElement("div");
  words.className = "words";
  words.hidden = true;
  svg.onpointermove = (event) => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    const wanted = first + ((at - LEFT) / (width - LEFT - RIGHT)) * (last - first);
    const said = data.lines.map((line) => ({ line, n: nearest(line.steps, wanted) }));
    const step = said.map(({ line, n }) => line.steps[n])
      .reduce((best, one) => (Math.abs(one - wanted) < Math.abs(best - wanted) ? one : best));
    words.replaceChildren(document.createTextNode(`step ${say(step)}`));
    for (const { line, n } of said.filter(({ line, n }) => line.steps[n] === step)) {
      const row = words.appendChild(document.createElement("div"));
      row.textContent = `${data.lines.length > 1 ? `${line.name}: ` : ""}${say(line.values[n])}`;
      row.style.borderLeft = `3px solid ${line.color}`;
    }
    mark.setAttribute("x1", x(step));
    mark.setAttribute("x2", x(step));
    mark.setAttribute("visibility", "visible");
    words.hidden = false;
    const beside = x(step) + 10;
    words.style.left = `${beside + words.offsetWidth > width ? x(step) - 10 - words.offsetWidth : beside}px`;
  };
  svg.onpointerleave = () => { words.hidden = true; mark.setAttribute("visibility", "hidden"); };
  chart.replaceChildren(svg, words);
}

export default function ({ data, parentElement }) {
  const chart = parentElement.querySelector(".chart"), key = parentElement.querySelector(".key");
  key.replaceChildren(...(data.lines.length > 1 ? data.lines : []).map((line) => {
    const one = document.createElement("span");
    one.textContent = line.name;
    one.style.setProperty("--line", line.color);
    one.style.setProperty("--dash", line.dashed ? "dashed" : "solid");
    return one;
  }));
  chart.drawn = () => draw(chart, data);
  chart.watch ??= new ResizeObserver(() => chart.drawn());
  chart.watch.observe(chart);
  chart.drawn();
  return () => chart.watch.disconnect();
}
