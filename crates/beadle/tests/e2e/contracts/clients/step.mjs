// Runs a step of a client, and prints `ok STEP`, or `missing STEP STATUS MESSAGE`. The test puts
// this file before each script.

const PATIENCE = 60_000;

async function step(name, run) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error("no answer")), PATIENCE);
    });
    try {
        const found = await Promise.race([run(), late]);
        console.log(`ok ${name}`);
        return found;
    } catch (error) {
        const message = String(error?.message ?? error).replaceAll(/\s+/g, " ").slice(0, 400);
        console.log(`missing ${name} ${error?.status ?? error?.code ?? error?.name ?? "none"} ${message}`);
        return undefined;
    } finally {
        clearTimeout(timer);
    }
}

