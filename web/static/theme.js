// SPDX-License-Identifier: BSD-2-Clause
// Before the first paint, so that the page does not flash in the other colours.
try {
  const theme = localStorage.getItem("locser.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the page then follows the system.
}
