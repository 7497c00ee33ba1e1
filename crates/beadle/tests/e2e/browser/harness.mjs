// The code that all scripts in this folder use: the browser, its pages, and the checks of a page.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { chromium } = await import(pathToFileURL(process.env.PLAYWRIGHT).href);
const AXE = readFileSync(process.env.AXE, "utf8");

/** The address of the pages, without a path. */
export const PAGES = process.env.PAGES;
/** The address of the simulated GitHub. */
const GITHUB = process.env.GITHUB ?? PAGES;

/** The maximum wait for one step, in milliseconds. Other tests use the processors too. */
const PATIENCE = 60_000;
/** The maximum number of presses of the tab key on the way to an element. */
const MOST_PRESSES = 150;
/** Elements that no page has. If a page has one of them, a hostile name has become HTML. */
const FOREIGN = "script:not([src='/assets/live.js']), style, img, iframe, object, embed, svg";
/** The rules of axe: WCAG 2.1 A and AA, and the practices that axe recommends. */
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];

const SWITCHES = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/** The looks of a page, each with the colour of the background. */
export const LOOKS = [
    { name: "light", colorScheme: "light", width: 1280, background: "rgb(255, 255, 255)" },
    { name: "dark", colorScheme: "dark", width: 1280, background: "rgb(13, 17, 23)" },
    { name: "narrow", colorScheme: "light", width: 360, background: "rgb(255, 255, 255)" },
];

/** The events in the browser that must not happen. */
const incidents = [];

/** Runs a script with a browser that has a new, empty profile. */
export async function withBrowser(run) {
    const browser = await chromium.launch({
        executablePath: process.env.BEADLE_CHROMIUM,
        headless: true,
        chromiumSandbox: false,
        args: SWITCHES,
        timeout: PATIENCE,
    });
    try {
        await run(browser);
        assert.deepEqual(incidents, []);
    } finally {
        await browser.close();
    }
}

/** Opens an empty page that shares no cookies with another page. */
export async function open(browser, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    page.on("dialog", async (dialog) => {
        incidents.push(`${page.url()} opened a dialog: ${dialog.message()}`);
        await dialog.dismiss();
    });
    page.on("pageerror", (error) => incidents.push(`${page.url()} ran a script: ${error}`));
    page.on("request", (request) => {
        const isKnown = [PAGES, GITHUB].includes(new URL(request.url()).origin);
        if (!isKnown) incidents.push(`${page.url()} asked for ${request.url()}`);
    });
    return page;
}

/** Reports a step that succeeded, so that the output shows where a script ended. */
export function done(step) {
    console.log(`ok ${step}`);
}

/**
 * Evaluates an expression in a page. Playwright's own `evaluate` uses `eval` in the page, which the
 * Content-Security-Policy of the pages forbids.
 */
async function evaluate(page, expression) {
    const session = await page.context().newCDPSession(page);
    try {
        const asked = { expression, awaitPromise: true, returnByValue: true };
        const { result, exceptionDetails } = await session.send("Runtime.evaluate", asked);
        if (exceptionDetails) {
            throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
        }
        return result.value;
    } finally {
        await session.detach();
    }
}

/** Checks the present page: no foreign element, no part outside the screen, no violation. */
export async function check(page, name) {
    assert.equal(await page.locator(FOREIGN).count(), 0, `${name}: a name became HTML`);
    const outside = "document.scrollingElement.scrollWidth - document.documentElement.clientWidth";
    const width = await evaluate(page, outside);
    assert.ok(width <= 0, `${name}: the page is ${width} pixels wider than the screen`);
    const options = { runOnly: { type: "tag", values: RULES }, preload: false, resultTypes: ["violations"] };
    const violations = await evaluate(
        page,
        `${AXE}
        ;axe.run(document, ${JSON.stringify(options)}).then(({ violations }) =>
            violations.flatMap(({ id, nodes }) =>
                nodes.map(({ target, failureSummary }) => [id, String(target), failureSummary].join(": "))))`,
    );
    assert.deepEqual(violations, [], name);
    done(name);
}

/** Checks the pages with these paths, each in every look. */
export async function checkAll(page, paths) {
    for (const { name, colorScheme, width, background } of LOOKS) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 800 });
        for (const path of paths) {
            await page.goto(`${PAGES}${path}`);
            const shown = await evaluate(page, "getComputedStyle(document.body).backgroundColor");
            assert.equal(shown, background, `${path} (${name}): the style sheet has no effect`);
            await check(page, `${path} (${name})`);
        }
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 800 });
}

/** Presses the tab key until an element has the focus. Each element on the way must show the focus. */
export async function reach(page, wanted) {
    const outline = `(() => {
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
        return outlineStyle !== "none" && parseFloat(outlineWidth) > 0;
    })()`;
    for (let presses = 0; presses < MOST_PRESSES; presses += 1) {
        await page.keyboard.press("Tab");
        assert.ok(await evaluate(page, outline), `${page.url()}: focus ${presses + 1} is not visible`);
        if ((await wanted.and(page.locator(":focus")).count()) > 0) return;
    }
    assert.fail(`${page.url()}: the tab key does not lead to ${wanted}`);
}

/** Does something that leads to this path, and returns the heading and the text of the new page. */
export async function leads(page, path, act) {
    await Promise.all([page.waitForURL((url) => url.origin === PAGES && url.pathname === path), act()]);
    return { title: await page.locator("h1").innerText(), text: await page.locator("main").innerText() };
}

/** Loads a page again until it has an element. The service works on its own, so this can take time. */
export async function until(page, path, wanted) {
    const end = Date.now() + PATIENCE;
    for (;;) {
        await page.goto(`${PAGES}${path}`);
        if ((await page.locator(wanted[0], wanted[1]).count()) > 0) return;
        assert.ok(Date.now() < end, `${path} has no ${JSON.stringify(wanted)}`);
        await page.waitForTimeout(100);
    }
}

/** Opens a page for a person. From now on, this person is signed in at the simulated GitHub. */
export async function visitor(browser, login, options = {}) {
    const body = JSON.stringify({ oauth: { user: login } });
    const answer = await fetch(`${GITHUB}/_sim/state?webhooks=false`, { method: "PATCH", body });
    assert.ok(answer.ok, `the simulated GitHub answers ${answer.status}`);
    const page = await open(browser, options);
    await page.goto(`${PAGES}/holds`);
    return page;
}

/** Opens a page, and signs a person in with the link of the page. */
export async function signedIn(browser, login, options = {}) {
    const page = await visitor(browser, login, options);
    const { title } = await leads(page, "/", () => page.getByRole("link", { name: "Sign in" }).click());
    assert.equal(title, "Overview", `${login} is not signed in`);
    return page;
}
