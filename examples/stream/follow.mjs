// Follows the live stream of a Rollbook server and prints a line for each new activity.
//
//   ROLLBOOK_CLIENT_URL            the server, http://127.0.0.1:8080
//   ROLLBOOK_CLIENT_AUTHORIZATION  the header `Authorization`: `Bearer TOKEN`, or `Basic …` of a credential
//   ROLLBOOK_CLIENT_FILTER         parameters of the log, for example `action=completed&type=course`; may be empty
//
// The browser's own EventSource cannot send the header `Authorization`. This package can, because it takes a `fetch`.
// The same code runs in a page that bundles the package.
import { EventSource } from 'eventsource'

const base = process.env.ROLLBOOK_CLIENT_URL ?? 'http://127.0.0.1:8080'
const authorization = process.env.ROLLBOOK_CLIENT_AUTHORIZATION
const filter = process.env.ROLLBOOK_CLIENT_FILTER ?? ''

const stream = new EventSource(`${base}/v1/activities/stream?${filter}`, {
  // A platform that renews its tokens returns the newest one here: each new connection asks again.
  fetch: (address, options) =>
    fetch(address, { ...options, headers: { ...options.headers, Authorization: authorization } })
})

// Version 5 of the package does not keep a program running while it waits to connect again.
setInterval(() => {}, 60_000)

stream.addEventListener('ready', (event) => console.log(`ready at ${event.lastEventId}`))

stream.addEventListener('activity', (event) => {
  const activity = JSON.parse(event.data)
  const person = activity.user?.name ?? 'Somebody'
  console.log(`${event.lastEventId} ${person}: ${activity.description}`)
})

// More was missed than the server replays. A page would read the log again here; the stream goes on by itself.
stream.addEventListener('reset', (event) => console.log(`reset at ${event.lastEventId}: read the log again`))

stream.addEventListener('error', (event) => {
  // 401 and 403 will not get better: the package stops. After anything else it connects again, with `Last-Event-ID`.
  if (event.code === 401 || event.code === 403) {
    console.error(`refused with ${event.code}: get a new token`)
    process.exit(1)
  }
})
