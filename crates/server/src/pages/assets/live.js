// Replaces the values of an open page when they change. The page works without this file.
"use strict";

(() => {
    /** The shortest time between two updates of the page, in milliseconds. */
    const PERIOD = 2_000;
    /** Updates use at most a tenth of the time, so that a slow service gets only few requests. */
    const SHARE = 10;
    /** The time after which the page asks again for events, in milliseconds. */
    const RETRY = 30_000;
    /** The time limit of an update, in milliseconds. */
    const PATIENCE = 20_000;
    /** The shortest time between two notices (screen readers read them), in milliseconds. */
    const QUIET = 30_000;
    /** For this time after a replacement, a person might press another button than intended. */
    const SETTLE = 1_000;
    const FIELDS = "input, select, textarea";
    const READY = "Newer values are ready. They appear when you leave this part of the page.";

    const main = document.querySelector("main[data-live]");
    const notice = document.getElementById("live-notice");
    if (!main || !notice || !window.EventSource) return;
    // The focus moves to this element if a replacement removes the element that has the focus.
    main.tabIndex = -1;

    /** The version of the values that the page shows, or that it has requested. */
    let version = main.dataset.version;
    let events = null;
    let retry = 0;
    /** True if the values are older than `version`. */
    let isOld = false;
    let isAsking = false;
    /** The earliest time at which the page asks for values again. */
    let earliest = 0;
    let timer = 0;
    /** The newest answer, as long as a part of the page still shows older values. */
    let kept = null;
    let keptTimer = 0;
    /** For each part of the page, the time at which its forms last moved. */
    const moved = new WeakMap();
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

    /** Returns whether two parts differ only in hidden fields and in texts such as `2 min ago`. */
    function isAlike(one, other) {
        const [a, b] = [one, other].map((part) => {
            const copy = part.cloneNode(true);
            copy.querySelectorAll("time + .faint, input[type=hidden]").forEach((each) => each.remove());
            return copy;
        });
        return a.isEqualNode(b) && targets(one) === targets(other);
    }

    /** Returns the addresses and the hidden values of the forms in a part of a page. */
    function targets(part) {
        const hidden = "input[type=hidden]:not([name=token]):not([name=shown])";
        const forms = [...part.querySelectorAll("form[method=post]")].map((form) => [
            form.getAttribute("action"),
            ...[...form.querySelectorAll(hidden)].map(({ name, value }) => [name, value]),
        ]);
        return JSON.stringify(forms);
    }

    /** Updates texts such as `2 min ago` in a part of the page that has no other changes. */
    function age(region, fresh) {
        const ages = (of) => [...of.querySelectorAll("time + .faint")];
        const next = ages(fresh);
        ages(region).forEach((one, at) => {
            const shown = next[at]?.textContent;
            if (shown && one.textContent !== shown) one.textContent = shown;
        });
    }

    /** Returns whether somebody fills a form in this part of the page, or selects a text to copy it. */
    function isInUse(region, fresh) {
        const focus = document.activeElement;
        if (focus && region.contains(focus) && focus.matches(`${FIELDS}, button`)) return true;
        const hovered = region.querySelector("form[method=post] button:hover");
        if (hovered && targets(region) !== targets(fresh)) return true;
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

    /** Replaces a part of the page. Keeps its focus, its open details and its scrolled tables. */
    function replace(region, fresh) {
        if (targets(region) !== targets(fresh)) moved.set(region, performance.now());
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

    /** Shows the values of an answer, except in parts of the page that somebody uses. */
    function show(page) {
        const next = page.querySelector("main[data-live]");
        const [old, fresh] = [regions(main), next ? regions(next) : []];
        if (fresh.length !== old.length) {
            kept = null;
            say("The layout of the page has changed. Load the page again.");
            return;
        }
        let isChanged = false;
        kept = null;
        old.forEach((region, at) => {
            if (isAlike(region, fresh[at])) {
                age(region, fresh[at]);
                return;
            }
            if (isInUse(region, fresh[at])) {
                kept = page;
                return;
            }
            replace(region, fresh[at]);
            isChanged = true;
        });
        if (kept) {
            say(READY);
            keepLater(PERIOD);
        } else if (isChanged) {
            sayUpdated();
        }
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
                say(`The page cannot be updated (status ${answer.status}). Load the page again.`);
            }
        } catch {
            isOld = true;
            say("The page cannot be updated. The browser tries again.");
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

    /** Shows the kept answer in the parts of the page that nobody uses. */
    function showKept() {
        if (kept && !isAsking) show(kept);
    }

    /** Tries again later to show the kept answer. */
    function keepLater(wait) {
        clearTimeout(keptTimer);
        keptTimer = setTimeout(showKept, wait);
    }

    document.addEventListener("visibilitychange", () => {
        if (document.hidden) {
            disconnect();
            return;
        }
        connect();
        update();
    });
    // When the timer ends, another element already has the focus.
    main.addEventListener("focusout", () => keepLater(100));
    // The button of another row might have moved under the pointer. A person who has typed into a
    // form wants to send this form.
    main.addEventListener("submit", (event) => {
        const form = event.target;
        const at = moved.get(form.closest("[data-region]")) ?? -SETTLE;
        if (form.method !== "post" || [...form.querySelectorAll(FIELDS)].some(isTouched)) return;
        if (performance.now() - at > SETTLE) return;
        event.preventDefault();
        say("The values changed a moment ago. Look at them before you send the form.");
    });
    connect();
})();
