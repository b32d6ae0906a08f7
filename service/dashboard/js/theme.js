// Before the first paint, so that a chosen theme never flashes in the other one.
try {
  document.documentElement.dataset.theme = localStorage.theme ?? "";
} catch {}
