// What only the browser knows: the reader's time zone, and whether the server still answers.
(function () {
  const two = (number) => String(number).padStart(2, "0");

  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.getAttribute("datetime"));
      const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
      const text = `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // The upload's own input has no name for screen readers.
  function nameFileInputs(root) {
    for (const input of root.querySelectorAll("input[type=file]:not([aria-label])")) {
      input.setAttribute("aria-label", "image file");
    }
  }

  function mend() {
    localTimes(document);
    nameFileInputs(document);
  }

  new MutationObserver(mend).observe(document.documentElement, {
    childList: true,
    subtree: true,
    characterData: true,
  });

  // A tab that nobody looks at asks for nothing.
  const fetched = window.fetch;
  window.fetch = (address, options) => {
    const isRefresh = document.hidden && String(options?.body ?? "").includes('"role":"tick"');
    return isRefresh ? Promise.resolve(new Response(null, { status: 204 })) : fetched(address, options);
  };

  // Keys decide about the first finding, unless somebody types.
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !/^[ad]$/.test(event.key)) return;
    document.querySelector(`button[data-key="${event.key}"]`)?.click();
  });

  // Pictures whose turn has not come are asked for again.
  document.addEventListener(
    "error",
    (event) => {
      const picture = event.target;
      const tries = Number(picture.dataset?.tries ?? 0);
      if (picture.tagName !== "IMG" || tries >= 10) return;
      picture.dataset.tries = tries + 1;
      setTimeout(() => (picture.src = `${picture.src.split("?")[0]}?try=${tries + 1}`), 1500);
    },
    true,
  );

  async function listen() {
    let answers = false;
    try {
      answers = (await fetch("/health", { cache: "no-store", signal: AbortSignal.timeout(4000) })).ok;
    } catch {
      answers = false;
    }
    document.documentElement.classList.toggle("server-away", !answers);
  }

  setInterval(listen, 3000);
})();
