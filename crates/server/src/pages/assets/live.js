// Replaces the values of an open page when they change. The page works without this file.
"use strict";

(() => {
    /** The shortest time between two updates of the page, in milliseconds. */
    const PERIOD = 2_000;
    /** An update may take a tenth of the time, so that a slow service is not asked all the time. */
    const SHARE = 10;
    /** The time after which the page asks again for events, in milliseconds. */
    const RETRY = 30_000;
    /** The time limit of an update, in milliseconds. */
    const PATIENCE = 20_000;
    /** The shortest time between two notices of an update, in milliseconds. A screen reader reads them. */
    const QUIET = 30_000;
    const FIELDS = "input, select, textarea";
    const READY = "Newer values are ready. They appear when you leave this part of the page.";

    const main = document.querySelector("main[data-live]");
    const notice = document.getElementById("live-notice");
    if (!main || !notice || !window.EventSource) return;

    /** The version of the values that the page shows or asks for. */
    let version = main.dataset.version;
    let events = null;
    let retry = 0;
    /** True if the values are older than `version`. */
    let isOld = false;
    let isAsking = false;
    /** The time before which the page asks for no values. */
    let earliest = 0;
    let timer = 0;
    /** The newest answer, as long as it is not shown everywhere. */
    let kept = null;
    let said = -QUIET;
    /** True after the session ended. */
    let isOver = false;

    const regions = (of) => [...of.querySelectorAll(":scope > [data-region]")];

    function say(text) {
        if (notice.textContent !== text) notice.textContent = text;
    }

    function sayUpdated() {
        const now = performance.now();
        if (now - said < QUIET && notice.textContent !== READY) return;
        said = now;
        say(`Updated at ${new Date().toLocaleTimeString("en-GB")}.`);
    }

    /** Returns whether somebody changed a field of a form. */
    function isTouched(field) {
        if (field.type === "hidden") return false;
        if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
        if (field.tagName === "SELECT") {
            const chosen = [...field.options].findIndex((option) => option.defaultSelected);
            return field.selectedIndex !== Math.max(chosen, 0);
        }
        return field.value !== field.defaultValue;
    }

    /** Returns whether somebody fills a form in this part of the page, or selects a text to copy it. */
    function isInUse(region) {
        const focus = document.activeElement;
        if (focus && region.contains(focus) && focus.matches(`${FIELDS}, button`)) return true;
        const selection = document.getSelection();
        if (selection && !selection.isCollapsed && region.contains(selection.anchorNode)) return true;
        return [...region.querySelectorAll(FIELDS)].some(isTouched);
    }

    /** Returns a function that gives the focus back after a replacement. */
    function focusOf(region) {
        const focus = document.activeElement;
        if (!focus || !region.contains(focus)) return () => {};
        const address = focus.getAttribute("href");
        const same = () => [...region.querySelectorAll(focus.tagName)];
        const at = same().indexOf(focus);
        return () => {
            const found = same();
            const byAddress = address && found.find((other) => other.getAttribute("href") === address);
            (byAddress || found[at] || main).focus({ preventScroll: true });
        };
    }

    /** Replaces a part of the page. Its focus, its open details and its scrolled tables stay. */
    function replace(region, fresh) {
        const giveBack = focusOf(region);
        const details = (of) => [...of.querySelectorAll("details")];
        const title = (one) => one.querySelector("summary")?.textContent;
        const open = new Map(details(region).map((one) => [title(one), one.open]));
        const scrolled = [...region.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
        region.replaceChildren(...fresh.cloneNode(true).childNodes);
        for (const one of details(region)) one.open = open.get(title(one)) ?? one.open;
        [...region.querySelectorAll(".scroll")].forEach((one, at) => {
            one.scrollLeft = scrolled[at] ?? 0;
        });
        giveBack();
    }

    /** Shows the values of an answer, but not where somebody is busy. */
    function show(page) {
        const next = page.querySelector("main[data-live]");
        const [old, fresh] = [regions(main), next ? regions(next) : []];
        if (fresh.length !== old.length) {
            kept = null;
            say("The page has another form now. Load it again.");
            return;
        }
        let isChanged = false;
        kept = null;
        old.forEach((region, at) => {
            if (region.isEqualNode(fresh[at])) return;
            if (isInUse(region)) {
                kept = page;
                return;
            }
            replace(region, fresh[at]);
            isChanged = true;
        });
        if (kept) say(READY);
        else if (isChanged) sayUpdated();
    }

    function later(wait) {
        clearTimeout(timer);
        timer = setTimeout(update, wait);
    }

    /** Asks for the page again, and shows its values. */
    async function update() {
        if (!isOld || isAsking || isOver || document.hidden) return;
        const begun = performance.now();
        if (begun < earliest) {
            later(earliest - begun);
            return;
        }
        [isAsking, isOld] = [true, false];
        try {
            const answer = await fetch(location.href, {
                headers: { accept: "text/html", "x-beadle-open-page": "1" },
                cache: "no-store",
                redirect: "error",
                signal: AbortSignal.timeout(PATIENCE),
            });
            if (answer.ok) {
                show(new DOMParser().parseFromString(await answer.text(), "text/html"));
            } else {
                isOld = answer.status === 503;
                say(`The page cannot be updated (status ${answer.status}). Load it again.`);
            }
        } catch {
            isOld = true;
            say("The page cannot be updated. It tries again.");
        } finally {
            const now = performance.now();
            isAsking = false;
            earliest = now + Math.max(PERIOD, SHARE * (now - begun));
            if (isOld) later(earliest - now);
        }
    }

    function disconnect() {
        clearTimeout(retry);
        events?.close();
        events = null;
    }

    function connect() {
        if (events || isOver || document.hidden) return;
        const query = new URLSearchParams({ part: main.dataset.live, version });
        events = new EventSource(`/live?${query}`);
        events.addEventListener("changed", (event) => {
            version = event.data;
            isOld = true;
            update();
        });
        events.addEventListener("end", () => {
            isOver = true;
            disconnect();
            say("The session ended. Load the page again to sign in.");
        });
        events.addEventListener("error", () => {
            if (events?.readyState !== EventSource.CLOSED) return;
            disconnect();
            retry = setTimeout(connect, RETRY);
        });
    }

    /** Shows the kept answer as soon as nobody is busy. */
    function showKept() {
        if (kept && !isAsking) show(kept);
    }

    document.addEventListener("visibilitychange", () => {
        if (document.hidden) {
            disconnect();
            return;
        }
        connect();
        update();
    });
    // The focus has moved on when the timer ends.
    main.addEventListener("focusout", () => setTimeout(showKept, 100));
    document.addEventListener("selectionchange", () => setTimeout(showKept, 100));
    connect();
})();
