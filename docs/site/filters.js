// Filters of the gallery and of the state of the world: what is chosen stands in the address, so that a view can be linked to.
document.addEventListener("DOMContentLoaded", () => {
  const bar = document.querySelector("[role=search].gallery-filters");
  if (!bar) return;
  const fields = [...bar.querySelectorAll("input, select")];
  const items = [...document.querySelectorAll("[data-words]")];
  const address = new URLSearchParams(location.search);
  for (const field of fields) field.value = address.get(field.name) ?? "";

  function fits(item) {
    return fields.every((field) => {
      if (!field.value) return true;
      if (field.name === "words") return field.value.toLowerCase().split(/\s+/).every((word) => item.dataset.words.includes(word));
      return (item.dataset[field.name] ?? "").split("|").includes(field.value);
    });
  }

  function show(write = true) {
    let count = 0;
    for (const item of items) {
      item.hidden = !fits(item);
      count += !item.hidden;
    }
    for (const group of document.querySelectorAll("[data-group]")) {
      const section = group.closest("section") ?? group;
      section.hidden = ![...group.children].some((item) => !item.hidden);
    }
    bar.querySelector("[role=status]").textContent = `${count} of ${items.length}`;
    const chosen = new URLSearchParams(fields.filter((field) => field.value).map((field) => [field.name, field.value]));
    if (write) history.replaceState(null, "", `${location.pathname}${chosen.size ? `?${chosen}` : ""}${location.hash}`);
  }

  for (const field of fields) field.addEventListener("input", () => show());
  show(false);
});
