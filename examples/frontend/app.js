// The page: signing in, and the view that belongs to the fragment of the address (`#/log?action=failed`).

import { Client, Problem } from './api.js'
import { LogView } from './log.js'
import { byId, showProblem, showStatus } from './page.js'
import { ProgressView } from './progress.js'

const TITLES = { log: 'Activity log', mine: 'My activity', progress: 'Progress' }

let client
let me
let view

/** The token lives as long as the tab. Other pages of this origin could read it there, so a platform has an origin of its own. */
const STORED = 'rollbook-token'

/** Takes a token from the fragment (`#token=…`), which no server sees, and removes it from the address. */
function takeTokenOfAddress () {
  const token = new URLSearchParams(location.hash.slice(1)).get('token')
  if (!token) return
  sessionStorage.setItem(STORED, token)
  history.replaceState(null, '', `${location.pathname}#/log`)
}

async function signIn (token) {
  client = new Client(token)
  me = await client.read('/v1/me')
  sessionStorage.setItem(STORED, token)
  byId('caller-name').textContent = me.user ? [me.user.first_name, me.user.last_name].filter(Boolean).join(' ') || me.id : me.id
  await showView()
}

function signOut (message) {
  sessionStorage.removeItem(STORED)
  client = me = undefined
  view?.close()
  view = undefined
  for (const id of ['pages', 'caller', 'log', 'progress']) byId(id).hidden = true
  byId('sign-in').hidden = false
  byId('title').textContent = 'Sign in'
  document.title = 'Sign in · Rollbook'
  showStatus('')
  showProblem(message)
  byId('token').focus()
}

/** Shows a problem of any request. A token that does not count any more ends the session. */
function onProblem (problem) {
  if (problem instanceof Problem && problem.status === 401) {
    signOut(problem.code === 'token_expired' ? 'The session has ended. Sign in again.' : problem.message)
  } else {
    showProblem(problem instanceof Problem ? problem.message : 'The server cannot be reached. Try again.')
  }
}

/** Draws the view of the address. */
async function showView () {
  if (!me) return
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?')
  const name = path in TITLES ? path : 'log'
  view?.close()
  showProblem('')
  byId('sign-in').hidden = true
  byId('pages').hidden = byId('caller').hidden = false
  byId('log').hidden = name === 'progress'
  byId('progress').hidden = name !== 'progress'
  byId('title').textContent = TITLES[name]
  document.title = `${TITLES[name]} · Rollbook`
  for (const link of byId('pages').children) {
    if (link.hash === `#/${name}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  const navigate = (parameters) => {
    const fragment = `#/${name}${parameters.size > 0 ? `?${parameters}` : ''}`
    // The same address again reads again.
    if (location.hash === fragment) showView()
    else location.hash = fragment
  }
  view = name === 'progress'
    ? new ProgressView(client, { navigate, onProblem })
    : new LogView(client, me, { isOwnLog: name === 'mine', navigate, onProblem })
  const opened = view
  document.body.dataset.view = ''
  try {
    await opened.open(new URLSearchParams(query))
  } catch (problem) {
    if (opened === view) onProblem(problem)
  }
  if (opened === view) document.body.dataset.view = name
}

window.addEventListener('hashchange', async () => {
  const isNewToken = location.hash.startsWith('#token=')
  takeTokenOfAddress()
  if (isNewToken) await start()
  else await showView()
  // A reader of the screen hears the title of the new view.
  byId('title').focus()
})

byId('sign-in').addEventListener('submit', async (event) => {
  event.preventDefault()
  showProblem('')
  try {
    await signIn(byId('token').value.trim())
    byId('token').value = ''
    byId('title').focus()
  } catch (problem) {
    onProblem(problem)
  }
})
byId('sign-out').addEventListener('click', () => signOut(''))

async function start () {
  const token = sessionStorage.getItem(STORED)
  if (!token) {
    signOut('')
    return
  }
  try {
    await signIn(token)
  } catch (problem) {
    onProblem(problem)
    // Without the server nothing can be drawn, so the form offers another try.
    if (!me) byId('sign-in').hidden = false
  }
}

takeTokenOfAddress()
await start()
