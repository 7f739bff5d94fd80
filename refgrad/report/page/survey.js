"use strict";
(() => {
  const survey = JSON.parse(document.getElementById("survey").textContent);
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const SVG = "http://www.w3.org/2000/svg";

  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const draw = (tag, attributes = {}, text) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const number = (text) => (text === "inf" ? Infinity : Number(text));
  const many = (n) => n.toLocaleString("en");

  // ---- filters -------------------------------------------------------------------------------------------------
  const rows = $$("tr.rule");
  const buttons = $$("button.cell");
  const heads = $$("thead th[data-column]");
  const wanted = { text: "", kind: "", package: "", empty: false, outcomes: new Set() };

  const fits = (button) => {
    const cell = survey.cells[button.dataset.cell];
    return (!wanted.package || cell.package === wanted.package) && (!wanted.outcomes.size || wanted.outcomes.has(cell.outcome));
  };

  function filter() {
    let cells = 0, rules = 0;
    const used = new Set(), kinds = new Set();
    for (const row of rows) {
      const right = (!wanted.kind || row.dataset.kind === wanted.kind) && row.dataset.search.includes(wanted.text);
      const own = $$("button.cell", row);
      let visible = 0;
      for (const button of own) {
        button.hidden = !(right && fits(button));
        if (!button.hidden) {
          visible += 1;
          used.add(survey.cells[button.dataset.cell].column);
        }
      }
      const narrowed = wanted.package || wanted.outcomes.size;
      row.hidden = !(right && (visible || (wanted.empty && !own.length && !narrowed)));
      if (!row.hidden) { rules += 1; kinds.add(row.dataset.kind); }
      cells += visible;
    }
    for (const row of $$("tr.kind")) row.hidden = !kinds.has(row.dataset.kind);
    for (const head of heads) head.hidden = !used.has(head.dataset.column);
    for (const place of $$("tbody td[data-column]")) {
      const any = $$("button.cell", place).some((b) => !b.hidden);
      place.hidden = !used.has(place.dataset.column) || (narrow.matches && !any);
    }
    $(".shown").textContent = `${many(cells)} implementations of ${many(rules)} rules`;
    $(".none").hidden = rules > 0;
    $("table.rules").hidden = rules === 0;
  }
  const narrow = matchMedia("(max-width: 46rem)");
  narrow.addEventListener("change", filter);

  $("#text").addEventListener("input", (e) => { wanted.text = e.target.value.trim().toLowerCase(); filter(); });
  $("#kind").addEventListener("change", (e) => { wanted.kind = e.target.value; filter(); });
  $("#package").addEventListener("change", (e) => { wanted.package = e.target.value; filter(); });
  $("#empty").addEventListener("change", (e) => { wanted.empty = e.target.checked; filter(); });
  for (const tile of $$(".tile")) {
    tile.addEventListener("click", () => {
      const outcome = tile.dataset.outcome;
      const on = !wanted.outcomes.delete(outcome);
      if (on) wanted.outcomes.add(outcome);
      tile.setAttribute("aria-pressed", String(on));
      filter();
    });
  }
  $("#all").addEventListener("click", () => {
    Object.assign(wanted, { text: "", kind: "", package: "" });
    wanted.outcomes.clear();
    for (const tile of $$(".tile")) tile.setAttribute("aria-pressed", "false");
    for (const id of ["text", "kind", "package"]) document.getElementById(id).value = "";
    filter();
  });

  // ---- the page by keyboard --------------------------------------------------------------------------------------
  $(".matrix").addEventListener("keydown", (e) => {
    const from = e.target.closest("button.cell");
    if (!from || !e.key.startsWith("Arrow")) return;
    const shown = buttons.filter((b) => !b.hidden && !b.closest("tr").hidden);
    const at = shown.indexOf(from);
    let to = null;
    if (e.key === "ArrowLeft") to = shown[at - 1];
    if (e.key === "ArrowRight") to = shown[at + 1];
    if (e.key === "ArrowUp" || e.key === "ArrowDown") {
      const down = e.key === "ArrowDown", column = (b) => b.closest("td").dataset.column, row = from.closest("tr");
      const others = down ? shown.slice(at + 1) : shown.slice(0, at).reverse();
      const far = others.filter((b) => b.closest("tr") !== row);
      to = far.find((b) => column(b) === column(from)) || far[0];
    }
    if (to) { e.preventDefault(); to.focus(); to.scrollIntoView({ block: "nearest", inline: "nearest" }); }
  });

  // ---- a cell, opened -----------------------------------------------------------------------------------------------
  const dialog = $("dialog");
  let opened = null;

  function show(button) {
    if (opened) opened.classList.remove("open");
    opened = button;
    button.classList.add("open");
    const cell = survey.cells[button.dataset.cell];
    dialog.dataset.outcome = cell.outcome;
    $(".bar .mark", dialog).textContent = survey.marks[cell.outcome];
    $(".bar strong", dialog).textContent = cell.outcome;
    const article = $("article", dialog);
    article.replaceChildren(...content(cell));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    history.replaceState(null, "", `#${button.id}`);
  }

  function content(cell) {
    const found = [
      make("h2", { id: "title" }, cell.called),
      make("p", { class: "sub" }, `${cell.column} ${cell.version}, judged as `, make("code", {}, cell.claim)),
    ];
    const facts = make("dl", { class: "facts" });
    const fact = (name, ...value) => facts.append(make("dt", {}, name), make("dd", {}, ...value));
    if (cell.variant) fact("It is", make("code", {}, cell.variant), cell.sentence ? ` – ${cell.sentence}` : "");
    if (cell.message) fact("Because", cell.message);
    for (const condition of cell.conditions) {
      fact("Granted", make("code", {}, condition), ` – ${survey.conditions[condition] || "a field of the policy"}`);
    }
    const right = cell.outcome === "conforms" || (cell.outcome === "named variant" && number(cell.tightest) <= 1);
    if (right && number(cell.tightest) > 0) fact("Used", `at most ${percent(number(cell.tightest))} of the allowed distance from the truth`);
    if (cell.note) fact("Note", cell.note);
    fact("Judged in", `${cell.seconds} s`);
    found.push(facts, make("h3", {}, "Reproduce"), code(cell.reproduce));
    const tensors = Object.entries(cell.errors);
    if (tensors.length) {
      found.push(make("h3", {}, "Distance from the truth, in units in the last place"), plots(tensors));
    }
    if (cell.attempts.length) found.push(make("h3", {}, "What was asked"), attempts(cell.attempts));
    if (cell.report) {
      const whole = make("details", {}, make("summary", {}, "The whole verdict"), make("pre", { tabindex: "0" }, cell.report));
      whole.open = cell.outcome !== "conforms";
      found.push(make("h3", {}, "Verdict"), whole);
    }
    return found;
  }

  const percent = (share) => (share > 99 ? `${share.toPrecision(3)} times` : `${(100 * share).toPrecision(3)} %`);

  function code(text) {
    const button = make("button", { type: "button", class: "plain" }, "copy");
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(text); button.textContent = "copied"; } catch { button.textContent = "select and copy"; }
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
    return make("div", { class: "withcopy" }, make("pre", { class: "code" }, text), button);
  }

  function attempts(list) {
    const body = make("tbody");
    for (const a of list) {
      body.append(make("tr", {}, make("td", {}, a.what), make("td", {}, a.outcome),
        make("td", { class: "n" }, `${many(a.outside)} of ${many(a.total)} outside`)));
    }
    return make("table", { class: "small" }, body);
  }

  // ---- plots ----------------------------------------------------------------------------------------------------------
  const ENDS = survey.ends.map(number);
  const name = (end) => (end === Infinity ? "∞" : end === 0.5 ? "½" : end < 1024 ? String(end) : `2${power(Math.log2(end))}`);
  const short = (n) => (n < 10 ? n.toPrecision(2) : n < 10000 ? String(Math.round(n)) : `2${power(Math.round(Math.log2(n)))}`);
  const wide = () => Math.min(660, window.innerWidth - 44);
  const power = (n) => [...String(n)].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("");

  function plots(tensors) {
    const last = Math.max(4, ...tensors.map(([, e]) => e.bins.findLastIndex((n) => n > 0)));
    const box = make("div", { class: "plots" });
    for (const [tensor, errors] of tensors) {
      const total = errors.bins.reduce((a, b) => a + b, 0), outside = errors.outside.reduce((a, b) => a + b, 0);
      if (!total) continue;
      const near = errors.bins[0] + errors.bins[1];
      const caption = make("figcaption", {}, make("code", {}, tensor), make("span", {},
        ` – ${many(total)} values, ${(100 * near / total).toPrecision(3)} % within half a unit` +
        (outside ? `, ${many(outside)} outside their sets` : "")));
      box.append(make("figure", {}, caption, histogram(tensor, errors, last), magnitudes(tensor, errors)));
    }
    return box;
  }

  function histogram(tensor, errors, last) {
    const width = wide(), height = 118, left = 34, bottom = 18, step = (width - left) / (last + 1);
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height + bottom + 14}`, role: "img",
      "aria-label": `${tensor}: counts of values by distance from the truth in units in the last place, on a logarithmic scale` });
    const top = Math.log10(Math.max(10, ...errors.bins) * 1.3);
    const y = (n) => (n > 0 ? Math.max(2, (height - 8) * (Math.log10(n) + 0.25) / (top + 0.25)) : 0);
    for (let k = 0; 10 ** k <= 10 ** top; k += 1) {
      const at = height - y(10 ** k);
      svg.append(draw("line", { class: "axis", x1: left, x2: width, y1: at, y2: at }));
      svg.append(draw("text", { x: left - 5, y: at + 3, "text-anchor": "end" }, k < 4 ? String(10 ** k) : `10${power(k)}`));
    }
    for (let i = 0; i <= last; i += 1) {
      const n = errors.bins[i], out = errors.outside[i], x = left + i * step + 1;
      if (n) {
        const bar = draw("rect", { class: out === n ? "out" : "in", x, y: height - y(n), width: Math.max(1, step - 2), height: y(n), rx: 1.5 });
        bar.append(draw("title", {}, `${i ? `up to ${name(ENDS[i])}` : "exact"}: ${many(n)} values${out ? `, ${many(out)} outside` : ""}`));
        svg.append(bar);
        if (out && out < n) svg.append(draw("rect", { class: "out", x, y: height - y(out), width: Math.max(1, step - 2), height: y(out), rx: 1.5 }));
      }
      const every = step < 16 ? 6 : 3;
      if ((i < 4 && (step > 14 || i % 2 === 1)) || i === last || (i > 4 && i % every === 0 && last - i > 1)) {
        svg.append(draw("text", { x: x + step / 2 - 1, y: height + 13, "text-anchor": "middle" }, name(ENDS[i])));
      }
    }
    const half = left + 2 * step;
    svg.append(draw("line", { class: "half", x1: half, x2: half, y1: 0, y2: height }));
    svg.append(draw("text", { x: width, y: height + 27, "text-anchor": "end" }, "distance in ulps of the truth, up to; dashed: one rounding"));
    return svg;
  }

  function magnitudes(tensor, errors) {
    const list = Object.values(errors.magnitudes).sort((a, b) => a.low - b.low);
    if (list.length < 2) return document.createDocumentFragment();
    const width = wide(), height = 64, left = 34, step = (width - left) / list.length;
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height + 32}`, role: "img",
      "aria-label": `${tensor}: the largest distance from the truth by the magnitude of the truth` });
    svg.append(draw("line", { class: "axis", x1: left, x2: width, y1: height, y2: height }));
    list.forEach((b, i) => {
      const largest = number(b.largest), x = left + i * step + 1;
      const size = largest === Infinity ? height - 12 : Math.min(height - 12, 4 + (height - 16) * Math.log2(1 + largest) / 25);
      const bar = draw("rect", { class: b.outside ? "out" : "in", x, y: height - size, width: Math.max(1, step - 2), height: size, rx: 1.5, opacity: 0.75 });
      bar.append(draw("title", {}, `from 2^${b.low}: ${many(b.count)} values, at most ${Number.isFinite(largest) ? largest.toPrecision(3) : "∞"} ulps${b.outside ? `, ${many(b.outside)} outside` : ""}`));
      svg.append(bar);
      if (step > 26) svg.append(draw("text", { x: x + step / 2 - 1, y: height - size - 3, "text-anchor": "middle" }, largest === Infinity ? "∞" : short(largest)));
      if (step > 32 || i % 3 === 0) svg.append(draw("text", { x: x + step / 2 - 1, y: height + 13, "text-anchor": "middle" }, `2^${b.low}`));
    });
    svg.append(draw("text", { x: width, y: height + 27, "text-anchor": "end" }, "largest distance by the magnitude of the truth, from"));
    return svg;
  }

  // ---- opening and closing -----------------------------------------------------------------------------------------
  for (const button of buttons) button.addEventListener("click", () => show(button));
  const beside = (by) => {
    const shown = buttons.filter((b) => !b.hidden && !b.closest("tr").hidden);
    const next = shown[shown.indexOf(opened) + by];
    if (next) show(next);
  };
  $("#previous").addEventListener("click", () => beside(-1));
  $("#next").addEventListener("click", () => beside(1));
  $("#close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (e) => {
    if (e.target.closest("pre")) return;
    if (e.key === "ArrowLeft") beside(-1);
    if (e.key === "ArrowRight") beside(1);
  });
  dialog.addEventListener("close", () => {
    if (dialog.open) return; // the event comes late: the next cell may be open by now
    history.replaceState(null, "", location.pathname + location.search);
    if (opened) { opened.classList.remove("open"); opened.focus(); }
    opened = null;
  });

  const theme = $(".theme");
  theme.addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  });

  function followAddress() {
    const linked = location.hash && document.getElementById(location.hash.slice(1));
    if (linked && linked.matches("button.cell")) show(linked);
  }
  window.addEventListener("hashchange", followAddress);

  filter();
  followAddress();
})();
