// Looks at pages in Chromium: node look.mjs '{"pages": {"name": {"url": "…", "cookies": […], "status": 200}}, "screenshots": "folder or null"}'
// Prints, for each page and each way of looking at it, what axe finds wrong and how far it is wider than its window.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { launch } from 'puppeteer-core';

const { pages, screenshots } = JSON.parse(process.argv[2]);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WIDTHS = [320, 1280];
const SCHEMES = ['light', 'dark'];

const browser = await launch({
  executablePath: process.env.PORTCULLIS_CHROMIUM ?? '/usr/bin/chromium',
  // As root in a container there is no sandbox to be had; the pages are our own.
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--hide-scrollbars', '--force-color-profile=srgb'],
});
const seen = [];
try {
  for (const [name, { url, cookies }] of Object.entries(pages)) {
    const context = await browser.createBrowserContext();
    for (const cookie of cookies) await context.setCookie(cookie);
    const page = await context.newPage();
    const refused = [];
    page.on('console', (message) => { if (/Content Security Policy/.test(message.text())) refused.push(message.text()); });
    for (const width of WIDTHS) {
      for (const scheme of SCHEMES) {
        await page.setViewport({ width, height: 900 });
        await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
        const answer = await page.goto(url, { waitUntil: 'load' });
        for (const each of await page.$$('details')) await each.evaluate((details) => { details.open = true; });
        if (screenshots) await page.screenshot({ path: `${screenshots}/${name}-${width}-${scheme}.png`, fullPage: true });
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
        seen.push({
          name, width, scheme, status: answer.status(), title: await page.title(), refused,
          styled: await page.evaluate(() => getComputedStyle(document.querySelector('main')).borderTopStyle === 'solid'),
          scripts: await page.evaluate(() => document.scripts.length),
          wider: await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
          violations: violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`),
        });
      }
    }
    await context.close();
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
