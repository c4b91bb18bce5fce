// A receiver of Rollbook's webhooks. It checks each signature, passes over what it has already, and prints a line for each
// change.
//
//   WEBHOOK_SECRET=whsec_… node receiver.mjs
//
// PORT is the port to listen on; 0 selects a free one. The first line of the output is the address.

import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const secret = process.env.WEBHOOK_SECRET;
if (!secret) {
  console.error('set WEBHOOK_SECRET to the secret of the subscription');
  process.exit(2);
}
const webhook = new Webhook(secret);

// A real receiver keeps these in its database, together with what it does about each change.
const handled = new Set();

function handle(id, event) {
  // Each webhook comes at least once. The id is the same whenever the same change is sent.
  if (handled.has(id)) return;
  handled.add(id);
  switch (event.type) {
    case 'activity.upserted':
      console.log(`${event.change}: ${event.data.description} (${event.data.id})`);
      break;
    case 'activity.deleted':
      console.log(`${event.change}: gone (${event.data.id})`);
      break;
    case 'test':
      console.log(`a test of the subscription "${event.data.name}"`);
      break;
    default:
      console.log(`unknown type ${event.type}`);
  }
}

const server = createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    let event;
    try {
      // Throws if the signature is wrong or the webhook is older than five minutes.
      event = webhook.verify(Buffer.concat(pieces).toString('utf8'), request.headers);
    } catch (error) {
      console.log(`refused: ${error.message}`);
      response.writeHead(401).end();
      return;
    }
    handle(request.headers['webhook-id'], event);
    // Answer soon, and do long work afterwards: Rollbook waits 20 seconds by default.
    response.writeHead(204).end();
  });
});

server.listen(Number(process.env.PORT ?? 9000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
