// What a page can't do by itself: a link to a measurement opens its answer, and what
// scrolls sideways can be reached with the Tab key.

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const cell = target?.closest(".claim-anchors")?.nextElementSibling;
  cell?.querySelector("details.hide")?.setAttribute("open", "");
  target?.closest("details")?.setAttribute("open", "");
}

function reachWhatScrolls() {
  for (const box of document.querySelectorAll("pre, .text_html, .table-wrapper")) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", "Scrolls sideways");
    }
  }
}

addEventListener("hashchange", openTarget);
addEventListener("resize", reachWhatScrolls);
document.addEventListener("toggle", reachWhatScrolls, true);
// Furo's two sidebars have no names of their own.
document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "All pages");
document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
openTarget();
reachWhatScrolls();
