// Requests to a Rollbook server.

const server = document.querySelector('meta[name="rollbook-server"]').content

/** A problem document of the server (RFC 9457). Its `detail` says what to change. */
export class Problem extends Error {
  constructor (status, document) {
    const faults = (document.errors ?? []).map((fault) => fault.detail)
    // A document with one fault has its text as `detail` too.
    const texts = new Set([document.detail ?? document.title ?? `The server answered ${status}.`, ...faults])
    super([...texts].join(' '))
    this.status = status
    this.code = document.code
  }
}

/** The requests of one person. */
export class Client {
  constructor (token) {
    this.token = token
  }

  /** Sends a request and returns its answer. Throws a [`Problem`] for every status that is no success. */
  async send (path, options = {}) {
    const headers = { Authorization: `Bearer ${this.token}`, ...options.headers }
    const answer = await fetch(server + path, { ...options, headers, credentials: 'omit' })
    if (answer.ok) return answer
    let document = {}
    try {
      document = await answer.json()
    } catch {
      // A proxy in front of the server answers with a page of its own.
    }
    throw new Problem(answer.status, document)
  }

  /** Reads JSON. `parameters` are pairs of names and values, or a `URLSearchParams`. */
  async read (path, parameters = []) {
    const query = new URLSearchParams(parameters).toString()
    return (await this.send(query ? `${path}?${query}` : path)).json()
  }

  /** Reads the page to which `next` of another page leads. */
  async readNext (next) {
    const address = new URL(next, location.href)
    return (await this.send(address.pathname + address.search)).json()
  }

  /** Saves an export to the disk. The browser opens a link for one use, so the page does not hold the file in memory. */
  async download (path, parameters) {
    const query = new URLSearchParams(parameters).toString()
    const answer = await this.send('/v1/downloads', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ path: query ? `${path}?${query}` : path })
    })
    const link = document.createElement('a')
    link.href = (await answer.json()).url
    link.download = ''
    link.click()
  }

  /**
   * Follows the live stream until `signal` is aborted, and calls `onEvent` with each event: `{type, data}`.
   *
   * `EventSource` cannot send the header `Authorization`, so this reads the stream with `fetch`. A broken connection is
   * opened again with the last position, so no activity is missed.
   */
  async follow (parameters, signal, onEvent) {
    let position
    let pause = 1000
    while (!signal.aborted) {
      try {
        const headers = position === undefined ? {} : { 'Last-Event-ID': position }
        const query = new URLSearchParams(parameters)
        const answer = await this.send(`/v1/activities/stream?${query}`, { headers, signal })
        pause = 1000
        for await (const event of parseEvents(answer.body)) {
          if (event.id !== undefined) position = event.id
          if (event.type) onEvent(event)
        }
      } catch (problem) {
        if (signal.aborted) return
        // A wrong token or filter does not become right by another try.
        if (problem instanceof Problem && problem.status < 500 && problem.status !== 429) throw problem
      }
      await wait(pause * (0.5 + Math.random()), signal)
      pause = Math.min(pause * 2, 30_000)
    }
  }
}

/** The Server-Sent Events of a stream of bytes. */
async function * parseEvents (body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  let event = { data: '' }
  while (true) {
    const { value, done } = await reader.read()
    if (done) return
    text += value
    const lines = text.split('\n')
    text = lines.pop()
    for (const line of lines) {
      if (line === '') {
        yield event
        event = { data: '' }
        continue
      }
      const [, name, content] = /^([^:]*):? ?(.*)$/.exec(line.replace(/\r$/, ''))
      if (name === 'event') event.type = content
      if (name === 'id') event.id = content
      if (name === 'data') event.data += content
    }
  }
}

/** Waits, or returns at once when `signal` is aborted. */
function wait (milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds)
    signal.addEventListener('abort', () => { clearTimeout(timer); resolve() }, { once: true })
  })
}
