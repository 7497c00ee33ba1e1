// Opens and checks the pages about groups. These pages need no sign-in.

import assert from "node:assert/strict";

import { PAGES, checkAll, leads, open, until, withBrowser } from "./harness.mjs";

await withBrowser(async (browser) => {
    const page = await open(browser);
    await until(page, "/groups", ["tbody tr", { hasText: "Dev" }]);
    const link = page.locator("tbody tr", { hasText: "Dev" }).getByRole("link").first();
    const { title } = await leads(page, "/group", () => link.click());
    assert.match(title, /Dev/);
    const address = new URL(page.url());
    await checkAll(page, ["/groups", `${address.pathname}${address.search}`, "/group?key=nonsense"]);
    // If an answer has no body, Chromium shows its own error page.
    assert.equal((await page.request.get(`${PAGES}/account`)).status(), 404);
});
