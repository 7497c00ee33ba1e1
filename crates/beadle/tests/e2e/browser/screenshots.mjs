// Takes the screenshots for the documentation.

import { join } from "node:path";

import { PAGES, done, signedIn, withBrowser } from "./harness.mjs";

const FOLDER = process.env.BEADLE_SCREENSHOTS;

const PICTURES = [
    { file: "overview.png", path: "/", colorScheme: "light", height: 720 },
    { file: "holds.png", path: "/holds", colorScheme: "light", height: 640 },
    { file: "holds-dark.png", path: "/holds", colorScheme: "dark", height: 640 },
    { file: "repository.png", path: "/repositories/acme/widgets", colorScheme: "light", height: 720 },
];

await withBrowser(async (browser) => {
    const page = await signedIn(browser, "ann");
    for (const { file, path, colorScheme, height } of PICTURES) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width: 1200, height });
        await page.goto(`${PAGES}${path}`);
        await page.screenshot({ path: join(FOLDER, file), animations: "disabled" });
        done(file);
    }
});
