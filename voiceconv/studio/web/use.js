// "Use this voice" anywhere on the page: opens Convert with that voice chosen.
element.addEventListener("click", ({target}) => {
  const value = target.closest("[data-use]")?.dataset.use;
  if (value === undefined) return;
  [...document.querySelectorAll("[role=tab]")].find((tab) => tab.offsetParent).click();   // Convert comes first
  window.dispatchEvent(new CustomEvent("voiceconv-use", {detail: value}));
});
