// People sign in, look at every page, and decide about held changes.

import assert from "node:assert/strict";

import { PAGES, check, checkAll, done, leads, open, withBrowser } from "./harness.mjs";
import { reach, signedIn, until, visitor } from "./harness.mjs";

/** A hostile text. A page that contained this text without encoding would run a script. */
const HOSTILE = process.env.HOSTILE;
/** The held change of the label with the hostile name. The subject of the commit is hostile too. */
const HOSTILE_LABEL = `label ${HOSTILE}`;
/** The key that a person exempts. */
const WAIVED = "branches.main.enforce_admins";

const PATHS = [
    "/",
    "/repositories",
    "/repositories?state=held&instance=acme&text=wid",
    "/repositories?state=nonsense",
    "/repositories/acme/widgets",
    "/repositories/acme/nothing",
    "/groups",
    "/holds",
    "/journal",
    "/journal?kind=intent",
    "/deliveries",
    "/queue",
    "/tasks",
    "/policy",
    "/policy/previews",
    "/account",
    "/undo",
    "/undo?runs=7&repositories=acme%2Fwidgets",
];

/** Returns the row of the held changes that has a text. */
const row = (page, text) => page.locator("tbody tr", { hasText: text });
const button = (place, name) => place.getByRole("button", { name, exact: true });
const reason = (place) => place.getByRole("textbox", { name: "Reason", exact: true });

async function strangers(browser) {
    const page = await open(browser);
    const answer = await page.goto(`${PAGES}/holds`);
    assert.equal(answer.status(), 401);
    await check(page, "nobody is signed in");
    const eve = await visitor(browser, "eve");
    const link = eve.getByRole("link", { name: "Sign in" });
    const refused = await leads(eve, "/sign-in/return", () => link.click());
    assert.equal(refused.title, "Not signed in");
    await check(eve, "a stranger");
}

async function others(browser) {
    const viewer = await signedIn(browser, "cyd");
    await until(viewer, "/holds", ["tbody tr", { hasText: "contractors" }]);
    for (const name of ["Approve", "Reject"]) {
        assert.equal(await button(viewer, name).count(), 0, `a viewer has the button ${name}`);
    }
    done("a viewer");
    const author = await signedIn(browser, "bob");
    await author.goto(`${PAGES}/holds`);
    const own = row(author, "contractors");
    await reason(own).fill("my own change");
    const refused = await leads(author, "/holds/decide", () => button(own, "Approve").click());
    assert.equal(refused.title, "Not decided");
    assert.match(refused.text, /a policy that they wrote/);
    await check(author, "the author");
}

/** Writes a reason into the row with a text, and sends the reason. Uses only the keyboard. */
async function decide(page, text, why, name) {
    await page.goto(`${PAGES}/holds`);
    const place = row(page, text);
    await reach(page, reason(place));
    await page.keyboard.type(why);
    await enterDecidesNothing(page);
    await reach(page, button(place, name));
    return leads(page, "/holds/decide", () => page.keyboard.press("Enter"));
}

/** If a person presses Enter in the field of the reason, the page must decide nothing. */
async function enterDecidesNothing(page) {
    const sent = [];
    const note = (request) => request.method() === "POST" && sent.push(request.url());
    page.on("request", note);
    await page.keyboard.press("Enter");
    await page.waitForTimeout(200);
    page.off("request", note);
    assert.deepEqual(sent, [], "the enter key sent a form");
}

async function keyboard(page) {
    await page.goto(`${PAGES}/holds`);
    const skip = page.getByRole("link", { name: "Skip to the content" });
    await reach(page, skip);
    const { x } = await skip.boundingBox();
    assert.ok(x >= 0, "the link to the content is outside the screen");
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.hash === "#content");
    await page.keyboard.press("Tab");
    assert.equal(await page.locator("main :focus").count(), 1, "the link does not lead to the content");
    done("the link to the content");

    const rejected = await decide(page, HOSTILE_LABEL, HOSTILE, "Reject");
    assert.match(rejected.text, /1 change rejected\./);
    await check(page, "rejected with the keyboard");
    const approved = await decide(page, "contractors", "the team is closed", "Approve");
    assert.match(approved.text, /1 change approved\./);
    await check(page, "approved with the keyboard");
}

/** Looks at pages that are open while somebody else rejects the change with the hostile name. */
async function watched([watching, typing], act) {
    for (const page of [watching, typing]) await page.goto(`${PAGES}/holds`);
    const field = reason(row(typing, "acme/gadgets"));
    await field.fill("nobody uses it");
    await act();
    const decided = (page) => row(page, HOSTILE_LABEL).getByText("rejected by ann").waitFor();
    await decided(watching);
    await check(watching, "updated");
    await typing.getByRole("status").getByText("Newer values are ready").waitFor();
    assert.equal(await field.inputValue(), "nobody uses it");
    await field.fill("");
    await typing.getByRole("link", { name: "Skip to the content" }).focus();
    await decided(typing);
    done("an open page shows what others decide");
}

/** An approval of several changes needs a confirmation. The confirmation works without scripts. */
async function confirmation(page) {
    const ask = async () => {
        await page.goto(`${PAGES}/holds`);
        const place = row(page, "stale");
        await reason(place).fill(HOSTILE);
        return leads(page, "/holds/decide", () => button(place, "Approve 2 changes").click());
    };
    const asked = await ask();
    assert.equal(asked.title, "Confirm the approval", asked.text);
    assert.match(asked.text, /2 changes/);
    assert.ok(asked.text.includes("acme/handbook") && asked.text.includes("acme/manual"), asked.text);
    assert.ok(asked.text.includes(HOSTILE), asked.text);
    await check(page, "an approval that is not confirmed");
    await leads(page, "/holds", () => page.getByRole("link", { name: "Back", exact: true }).click());
    const again = button(row(page, "stale"), "Approve 2 changes");
    assert.equal(await again.count(), 1, "nothing is approved yet");
    await ask();
    assert.equal(await button(page, "Approve 2 changes").count(), 2, "at the top and at the bottom");
    await reach(page, button(page, "Approve 2 changes").first());
    const decided = await leads(page, "/holds/confirm", () => page.keyboard.press("Enter"));
    assert.match(decided.text, /2 changes approved\./);
    await check(page, "a confirmed approval");
}

/** One form approves all changes that wait. The overview has a link to the page with this form. */
async function allTogether(page) {
    await page.goto(`${PAGES}/`);
    const call = page.getByRole("link", { name: /^[0-9]+ changes wait for approval$/ });
    await leads(page, "/holds", () => call.click());
    const form = page.locator("main form", { has: page.locator("input[name=code][value*=',']") });
    await reason(form).fill("looked at all of them");
    const asked = await leads(page, "/holds/decide", () => form.getByRole("button").last().click());
    assert.equal(asked.title, "Confirm the approval", asked.text);
    assert.match(asked.text, /2 repositories/);
    await check(page, "an approval of all changes");
    await leads(page, "/holds", () => page.getByRole("link", { name: "Back", exact: true }).click());
}

async function twoApprovers(ann, dan) {
    const places = [ann, dan].map((page) => row(page, "acme/gadgets"));
    for (const [at, page] of [ann, dan].entries()) {
        await page.goto(`${PAGES}/holds`);
        await reason(places[at]).fill("nobody uses it");
    }
    const approve = (page, place) => leads(page, "/holds/decide", () => button(place, "Approve").click());
    const ends = await Promise.all([approve(ann, places[0]), approve(dan, places[1])]);
    const titles = ends.map(({ title }) => title).sort();
    assert.deepEqual(titles, ["Decided", "Not decided"], JSON.stringify(ends));
    await check(ends[0].title === "Decided" ? dan : ann, "the second approver");
}

async function waive(page) {
    await page.goto(`${PAGES}/repositories/acme/widgets`);
    const keys = page.getByRole("combobox", { name: "Keys, separated by commas" });
    await keys.fill("topic");
    await page.getByRole("textbox", { name: "Until, such as 2d" }).fill("2d");
    await reason(page).fill(HOSTILE);
    const refused = await leads(page, "/waivers", () => button(page, "Waive").click());
    assert.equal(refused.title, "Not waived", refused.text);
    assert.match(refused.text, /did you mean `repository\.topics`\?/);
    assert.equal(await reason(page).inputValue(), HOSTILE);
    await check(page, "not waived");
    await page.goto(`${PAGES}/repositories/acme/widgets`);
    await keys.fill(WAIVED);
    await page.getByRole("textbox", { name: "Until, such as 2d" }).fill("2d");
    await reason(page).fill(HOSTILE);
    const waived = await leads(page, "/waivers", () => button(page, "Waive").click());
    assert.equal(waived.title, "Waived", waived.text);
    await check(page, "waived");
    for (const path of ["/policy", "/repositories/acme/widgets"]) {
        await until(page, path, ["tbody tr", { hasText: WAIVED }]);
    }
}

/** The pages show the hostile texts as texts. */
async function hostile(page) {
    for (const path of ["/holds", "/journal", "/policy", "/repositories/acme/widgets"]) {
        await page.goto(`${PAGES}${path}`);
        assert.ok((await page.getByText(HOSTILE).count()) > 0, `${path} does not show ${HOSTILE}`);
    }
    await checkAll(page, ["/holds", "/journal", "/policy", "/repositories/acme/widgets"]);
}

/** Fills a field, presses a button, and checks the page to which the form leads. */
async function operate(page, place, { from, field, value, name, to, expected }) {
    await page.goto(`${PAGES}${from}`);
    if (field) await page.getByRole("textbox", { name: field, exact: true }).fill(value);
    const done = await leads(page, to, () => button(place, name).click());
    assert.match(done.text, expected);
    await check(page, to);
}

async function operations(page) {
    const span = { from: "/queue", field: "For, such as 2h", value: "1h" };
    await operate(page, page, { ...span, name: "Pause", to: "/pauses", expected: /acme is paused until/ });
    await checkAll(page, ["/queue", "/repositories/acme/widgets"]);
    const resume = { from: "/queue", name: "Resume", to: "/pauses/end" };
    await operate(page, page, { ...resume, expected: /acme is no longer paused/ });
    const retry = { from: "/repositories/acme/widgets", name: "Retry", to: "/queue/retry" };
    await operate(page, page, { ...retry, expected: /acme\/widgets is due now/ });
    const task = row(page, "policy of acme").first();
    const run = { from: "/tasks", name: "Run now", to: "/tasks/run", expected: /policy of acme ran/ };
    await operate(page, task, run);
    const last = { from: "/undo", field: "Or all writes since a time, such as 12h or 2026-12-01T09:00:00Z", value: "1h" };
    const plan = { ...last, name: "Show the plan", to: "/undo/plan", expected: /acme\/widgets/ };
    await operate(page, page, plan);
    assert.equal(await button(page, "Undo these changes").count(), 1);
}

async function signOut(page) {
    await page.goto(`${PAGES}/account`);
    const ended = await leads(page, "/", () => button(page, "Sign out").click());
    assert.equal(ended.title, "Sign in");
    const answer = await page.goto(`${PAGES}/holds`);
    assert.equal(answer.status(), 401);
    done("signed out");
}

await withBrowser(async (browser) => {
    await strangers(browser);
    await others(browser);
    const [ann, dan] = [await signedIn(browser, "ann"), await signedIn(browser, "dan")];
    const held = await (await ann.request.get(`${PAGES}/api/v1/holds`)).json();
    await checkAll(ann, [...PATHS, `/holds?group=${held.groups[0].code}`]);
    await allTogether(ann);
    await watched([dan, await signedIn(browser, "dan")], () => keyboard(ann));
    await confirmation(ann);
    await twoApprovers(ann, dan);
    await waive(ann);
    await hostile(ann);
    await operations(ann);
    await signOut(ann);
});
