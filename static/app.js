// What neither htmx nor HTML does: the modal and its history entry, toasts, keyboard, copying.
(() => {
  "use strict";

  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const dialog = $("#modal-dialog");
  const body = $("#modal");
  const toasts = $("#toasts");
  const copyOf = (template) => $(template).content.cloneNode(true);

  // ---- modal ----

  let opener = null; // the link that opened the modal and gets the focus back
  let pushed = false; // the modal's address is an entry of the history
  let ownStep = false; // the next popstate is caused by this script

  function openModal(link) {
    opener = link;
    const loading = copyOf("#modal-loading");
    $("[data-modal-title]", loading).textContent = link.dataset.modalLabel || "";
    if (link.dataset.modalLoading) $("[data-modal-loading]", loading).textContent = link.dataset.modalLoading;
    body.replaceChildren(loading);
    all(".toast.success", toasts).forEach((toast) => toast.remove());
    if (!dialog.open) show(dialog);
  }

  // What the content of the modal is still reading must not change its successor. An event of a removed element reaches
  // only listeners of its own.
  function ignoreLate(successor) {
    for (const reader of all("[hx-get]", body)) {
      if (reader !== successor) reader.addEventListener("htmx:beforeOnLoad", (e) => e.preventDefault());
    }
  }

  let shownAt = 0; // ms, on the clock of event timestamps
  const doubleClick = 400; // ms; the second click of a double click hits the backdrop of the dialog that the first one opened

  // A modal dialog hides everything outside of it, from screen readers too, so the toasts move into it.
  function show(which) {
    which.showModal();
    shownAt = performance.now();
    which.append(toasts);
  }

  for (const d of all("dialog")) {
    d.addEventListener("close", () => { if (!d.open) document.body.append(toasts); });
    let pressed = false; // a drag that started inside is not a click on the backdrop
    d.addEventListener("pointerdown", (e) => { pressed = e.target === d && e.timeStamp - shownAt > doubleClick; });
    d.addEventListener("click", (e) => { if (e.target === d && pressed && !$("form[data-changed], [data-once]", d)) d.close(); });
  }

  // A click on the backdrop must not discard input.
  document.addEventListener("input", (e) => {
    const form = e.target.closest("form[method=post]");
    if (form) form.dataset.changed = "";
  });

  // afterClose cleans up after the modal has closed: pending request, history and focus.
  function afterClose() {
    if (opener) htmx.trigger(opener, "htmx:abort"); // a late response would change the address
    if (pushed) {
      pushed = false;
      ownStep = true;
      history.back();
    }
    if (opener && opener.isConnected) opener.focus();
    opener = null;
  }

  // The close event is delayed: the dialog may be open again.
  dialog.addEventListener("close", () => { if (!dialog.open) afterClose(); });

  // Back closes the modal. The page below is still there, so htmx must not reload it.
  window.addEventListener("popstate", (e) => {
    if (ownStep) {
      ownStep = false;
    } else if (dialog.open) {
      pushed = false;
      dialog.close();
    } else {
      return;
    }
    e.stopImmediatePropagation();
  }, true);

  document.addEventListener("htmx:beforeRequest", (e) => {
    if (e.detail.target !== body) return;
    if (!dialog.open && opener) afterClose();
    ignoreLate(e.detail.elt);
    openModal(body.contains(e.detail.elt) ? opener || e.detail.elt : e.detail.elt);
  });

  document.addEventListener("htmx:pushedIntoHistory", () => { if (dialog.open) pushed = true; });

  document.addEventListener("htmx:afterSwap", (e) => {
    const { target } = e.detail;
    if (target !== body && !(body.contains(target) && $("#modal-title", target))) return;
    ($("[autofocus]", body) || $("#modal-title", body))?.focus();
  });

  for (const lost of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(lost, (e) => {
      if (e.detail.target === body) $(".skeleton", body)?.replaceWith(copyOf("#modal-offline"));
      else if (!offlineToast()) toasts.append(copyOf("#toast-offline"));
    });
  }

  const offlineToast = () => $("[data-offline]", toasts);
  document.addEventListener("htmx:afterOnLoad", () => offlineToast()?.remove());

  // ---- requests ----

  // The answer to a poll must not be drawn once another answer has replaced the polling element.
  document.addEventListener("htmx:beforeRequest", ({ detail: { elt } }) => {
    if (!elt.getAttribute("hx-trigger")?.includes("every ")) return;
    elt.addEventListener("htmx:beforeOnLoad", (e) => { if (!elt.isConnected) e.preventDefault(); }, { once: true });
  });

  // A list reloads with its own filter and page, whatever the address bar shows by now.
  document.addEventListener("htmx:configRequest", (e) => {
    const state = e.detail.elt.matches("[data-list]") && $("[data-address]", e.detail.elt);
    if (state) e.detail.path = state.dataset.address;
  });

  // Empty fields do not go into addresses.
  document.addEventListener("htmx:configRequest", (e) => {
    if (e.detail.verb !== "get") return;
    for (const [name, value] of [...e.detail.formData]) {
      if (value === "") e.detail.formData.delete(name);
    }
  });

  // A form in the modal closes it on success. On a page of its own it is submitted without htmx and leads on.
  document.addEventListener("htmx:confirm", (e) => {
    if (!e.target.matches("form[data-closes]") || dialog.contains(e.target)) return;
    e.preventDefault();
    e.target.submit();
  });

  document.addEventListener("htmx:afterRequest", (e) => {
    const leaves = e.detail.xhr.getResponseHeader("HX-Redirect");
    if (e.detail.successful && !leaves && e.detail.elt.matches("form[data-closes]")) dialog.close();
  });

  // A button loses the focus while it is disabled during its request.
  let acting = null;
  document.addEventListener("htmx:beforeRequest", () => { acting = document.activeElement; });
  document.addEventListener("htmx:afterRequest", () => {
    if (acting?.isConnected && document.activeElement === document.body) acting.focus();
  });

  // A confirmation closes with the response, whose outcome is shown as a toast.
  document.addEventListener("htmx:afterRequest", (e) => { e.detail.elt.closest("[popover]")?.hidePopover(); });

  // A file must be chosen again for the next upload: browsers refuse to send one that has changed since.
  document.addEventListener("htmx:afterRequest", (e) => {
    if (!e.detail.xhr.status) return;
    for (const input of all("input[type=file]", e.detail.elt)) input.value = "";
  });

  // ---- toasts ----

  const toastLife = 7000; // ms; errors stay until they are dismissed or the next action starts

  document.addEventListener("htmx:beforeRequest", (e) => {
    if (e.detail.requestConfig.verb !== "get") toasts.replaceChildren();
  });

  function expire(toast) {
    if (toast.matches?.(".toast.success")) setTimeout(() => toast.remove(), toastLife);
  }
  new MutationObserver((changes) => changes.forEach((c) => c.addedNodes.forEach(expire))).observe(toasts, { childList: true });
  all(".toast", toasts).forEach(expire);

  // ---- clicks ----

  function closeBelow(row) {
    for (const r of all("tr.partition", row.parentElement)) {
      if (r.dataset.parent === row.dataset.table && r.dataset.parentSchema === row.dataset.schema) {
        closeBelow(r);
        r.remove();
      }
    }
  }

  // htmx opens the partitions of a row. Closing happens here, before htmx sees the click.
  document.addEventListener("click", (e) => {
    const fold = e.target.closest("[data-fold][aria-expanded=true]");
    if (!fold) return;
    e.preventDefault();
    e.stopImmediatePropagation();
    fold.setAttribute("aria-expanded", "false");
    closeBelow(fold.closest("tr"));
  }, true);

  document.addEventListener("htmx:afterRequest", (e) => {
    if (e.detail.successful && e.detail.elt.matches("[data-fold]")) e.detail.elt.setAttribute("aria-expanded", "true");
  });

  document.addEventListener("click", (e) => {
    const hit = (selector) => e.target.closest(selector);
    const inDialog = hit("dialog");
    if (hit("[data-close]") && inDialog) {
      e.preventDefault();
      inDialog.close();
    } else if (hit("[data-dismiss]")) {
      hit(".toast").remove();
    } else if (hit("[data-open]")) {
      show($("#" + hit("[data-open]").dataset.open));
    } else if (hit("[data-retry]")) {
      opener?.click();
    } else if (hit("[data-copy]")) {
      copyText(hit("[data-copy]"));
    } else if (hit("[data-clear-filter]")) {
      clearForm($("#" + hit("[data-clear-filter]").dataset.clearFilter));
    }
  });

  function clearForm(form) {
    for (const input of all("input", form)) {
      if (input.type === "search") input.value = "";
      if (input.type === "checkbox") input.checked = false;
    }
  }

  // ---- copying ----

  async function copyText(button) {
    const label = $("[data-copy-label]", button);
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      // Without TLS there is no clipboard API: select the text, so that Ctrl+C copies it.
      getSelection().selectAllChildren($("code", button.parentElement));
      if (!document.execCommand("copy")) return;
    }
    const before = label.textContent;
    label.textContent = label.dataset.copied;
    setTimeout(() => { label.textContent = before; }, 2000);
  }

  // number returns the digits of a size, which its tooltip has in full (views.Exact), or of a count; else undefined.
  function number(cell) {
    const text = cell.innerText.trim();
    const found = /^\+?(-?[\d,]+) B\b/.exec(cell.title || text) || /^≈?(\d{1,3}(?:,\d{3})*)$/.exec(text);
    return cell.dataset.count || found?.[1].replaceAll(",", "");
  }

  // name returns the name in a cell without badges, and from its tooltip if it is shown in another form.
  function name(cell) {
    const titled = cell.closest(".schema[title], .tables th[title]") || $(".mono[title]", cell);
    return titled?.title || ($("th .mono", cell) || cell).innerText.trim();
  }

  // Copied cells contain exact bytes instead of rounded units and are separated by tabs.
  document.addEventListener("copy", (e) => {
    const selection = getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return;
    const range = selection.getRangeAt(0);
    const around = range.commonAncestorContainer;
    const table = (around.nodeType === Node.ELEMENT_NODE ? around : around.parentElement).closest(".data");
    if (!table) return;
    const rows = all("tbody tr", table)
      .map((tr) => [...tr.cells].filter((cell) => selection.containsNode(cell, true)))
      .filter((cells) => cells.length);
    if (rows.flat().length === 1 && !number(rows[0][0])) return; // part of a single name
    const exact = (cell) => number(cell) || name(cell);
    e.clipboardData.setData("text/plain", rows.map((cells) => cells.map(exact).join("\t")).join("\n"));
    e.preventDefault();
  });

  // ---- keyboard ----

  // A swap removes the focused element. Focus the same row again, else the row in its place, else what data-refocus names
  // or the filter.
  let focused = null;
  const rowKey = (row) => JSON.stringify({ ...row.dataset });

  document.addEventListener("htmx:beforeSwap", (e) => {
    const { target } = e.detail;
    const row = document.activeElement.closest("tbody tr");
    focused = target.matches("[data-list], [data-refocus]") && target.contains(document.activeElement)
      ? { target, key: row && rowKey(row), at: row && all("tbody tr", target).indexOf(row) } : null;
  });

  document.addEventListener("htmx:afterSwap", (e) => {
    if (!focused || focused.target !== e.detail.target || document.activeElement !== document.body) return;
    const rows = all("tbody tr", focused.target);
    const row = focused.key && (rows.find((r) => rowKey(r) === focused.key) || rows[Math.min(focused.at, rows.length - 1)]);
    if (row) focusRow(row);
    else $(focused.target.dataset.refocus || "[data-filter]", scope())?.focus();
  });

  const scope = () => all("dialog[open]").at(-1) || document;

  function moveRow(step) {
    const rows = all("[data-rows] tbody tr", scope());
    if (!rows.length) return;
    const at = rows.indexOf(document.activeElement.closest("tr"));
    focusRow(rows[Math.min(rows.length - 1, Math.max(0, at + step))]);
  }

  function focusRow(row) {
    row.tabIndex = -1;
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  function nextSort() {
    const sorts = all("[data-sort]", scope());
    const at = sorts.findIndex((s) => s.closest("th").ariaSort !== "none");
    sorts[(at + 1) % sorts.length]?.click();
  }

  const keys = {
    "/": () => $("[data-filter]", scope())?.focus(),
    j: () => moveRow(1),
    k: () => moveRow(-1),
    r: () => $("[data-refresh]:not(:disabled)", scope())?.click(),
    s: nextSort,
    "?": () => { if (!$("#help").open) show($("#help")); },
  };

  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    if (e.target.closest("input, select, textarea, [contenteditable]")) return;
    if (e.key === "Enter" && e.target.matches("tr")) {
      $("[data-primary], [data-fold]", e.target)?.click();
    } else if (e.key === " " && e.target.matches("a[role=button]")) {
      e.target.click();
    } else if (keys[e.key]) {
      keys[e.key]();
    } else {
      return;
    }
    e.preventDefault();
  });
})();
