
// Saves the page with what was typed into its forms. Typing and printing need no script.
const buttons = document.querySelectorAll("button.save");
const show = (shown) => buttons.forEach((button) => { button.hidden = !shown; });
let unsaved = false;
function save() {
  for (const field of document.querySelectorAll(".write")) {
    field.querySelectorAll("br").forEach((line) => line.replaceWith("\n"));
    field.textContent = field.textContent.trim();
  }
  show(false); // a saved page that is opened where no script runs has no use for them
  const page = "<!DOCTYPE html>\n" + document.documentElement.outerHTML + "\n";
  show(true);
  const link = document.createElement("a");
  link.download = decodeURIComponent(location.pathname.split("/").pop()) || "report.html";
  link.href = URL.createObjectURL(new Blob([page], { type: "text/html" }));
  link.click();
  unsaved = false;
}
buttons.forEach((button) => button.addEventListener("click", save));
addEventListener("input", ({ target }) => {
  unsaved = true;
  if (!target.textContent.trim()) target.textContent = ""; // browsers leave a line break
});
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
show(true);
