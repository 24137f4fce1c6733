// Goes through the pages as a person does, in Chromium, and counts what a page's Content Security Policy refuses:
// node flow.mjs '{"base": "https://…", "authorize": "https://…", "redirect": "http://…", "login": "ana"}'
// Prints what was seen after each step, the address to which the client's code went, cookies and violations.
import { launch } from 'puppeteer-core';

const { base, authorize, redirect, login } = JSON.parse(process.argv[2]);
const browser = await launch({
  executablePath: process.env.PORTCULLIS_CHROMIUM ?? '/usr/bin/chromium',
  // The certificate is the test's own.
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--ignore-certificate-errors', '--disable-background-networking'],
});
const page = await (await browser.createBrowserContext()).newPage();
const violations = [], sent = [], seen = [];
await page.exposeFunction('violated', violation => violations.push(violation));
await page.evaluateOnNewDocument(() => {
  addEventListener('securitypolicyviolation', event => globalThis.violated(`${event.violatedDirective} ${event.blockedURI} at ${location}`));
});
page.on('console', message => { if (/Content Security Policy/.test(message.text())) violations.push(message.text()); });
page.on('request', request => { if (request.isNavigationRequest() && request.url().startsWith(redirect)) sent.push(request.url()); });

const settled = () => page.waitForNavigation({ waitUntil: 'load', timeout: 15_000 }).catch(() => null);

// Clicks the first button whose text matches, and waits until the page that follows is there.
async function press(text) {
  for (const button of await page.$$('button, input[type=submit]')) {
    const label = await button.evaluate(it => (it.textContent || it.value).trim());
    if (!text.test(label)) continue;
    await Promise.all([settled(), button.click()]);
    return label;
  }
  throw new Error(`no button like ${text} on ${page.url()}: ${await words()}`);
}

const words = () => page.evaluate(() => document.body?.innerText.replace(/\s+/g, ' ') ?? '');

// What the page is, as soon as it stays: pages of ours that only lead elsewhere continue by themselves.
async function where() {
  for (;;) {
    try {
      await page.waitForNetworkIdle({ idleTime: 200, timeout: 15_000 });
      const found = await page.evaluate(() => ({
        url: location.href,
        leads: document.querySelector('meta[http-equiv=refresh]') !== null,
        asks: document.querySelector('input[name=login]') !== null,
      }));
      if (!found.leads) return found;
    } catch (error) {
      if (!/context|detached|navigation/i.test(error.message)) throw error;
    }
  }
}

// The pages of others: the identity provider's and the origin's, which ask for a login and for consent.
async function abroad() {
  for (let step = 0; step < 10; step++) {
    const { url, asks } = await where();
    if (url.startsWith(base)) return;
    if (asks) {
      await page.type('input[name=login]', login);
      await page.type('input[name=password]', 'any password does');
    }
    await press(/^(?!.*cancel)/i);
  }
  throw new Error(`still at ${page.url()}: ${await words()}`);
}

async function note(step) {
  seen.push({ step, url: page.url(), title: await page.title(), text: await words() });
}

try {
  await page.goto(`${base}/`);
  await note('welcome');
  await press(/^Sign in with/);
  await abroad();
  await note('signed in');
  await page.goto(authorize);
  await note('consent');
  await press(/^Allow$/);
  for (let wait = 0; sent.length === 0 && wait < 100; wait++) await new Promise(done => setTimeout(done, 100));
  await page.goto('about:blank');
  await page.goto(`${base}/connections`);
  await note('not connected');
  await press(/^Connect /);
  if ((await where()).url.startsWith(`${base}/connect/`)) await press(/^(Connect|Continue to) /);
  await abroad();
  await page.goto(`${base}/connections`);
  await note('connected');
  await press(/^Disconnect /);
  await page.goto(`${base}/connections`);
  await note('disconnected');
  const cookies = await page.cookies(base);
  await press(/^Sign out$/);
  await note('signed out');
  await page.goto(`${base}/connections`);
  await note('afterwards');
  // A violation on purpose: that none was counted shows something only if this one is.
  const before = violations.length;
  await page.evaluate(() => { const script = document.createElement('script'); script.textContent = '1'; document.body.append(script); });
  await new Promise(done => setTimeout(done, 500));
  console.log(JSON.stringify({ seen, sent, cookies, violations: violations.slice(0, before), provoked: violations.length - before }));
} finally {
  await browser.close();
}
