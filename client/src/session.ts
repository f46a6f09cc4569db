import { type Api, type ApiOptions, createApi } from './api.ts'
import { PresignerError } from './presigner-error.ts'
import { type UserTag, userTagOf } from './user-tag.ts'

export interface SessionOptions extends ApiOptions {
  /**
   * The page's name for the person who is logged in, such as their id, or a function that returns it,
   * or null for nobody, as when it throws. What the page keeps belongs to this name, and nothing is sent for nobody, or
   * after somebody else has logged in. The function is called often, and never on a server.
   */
  readonly user?: string | (() => string | null | undefined) | undefined
}

/** The time in which one person uses a client. */
export interface Session {
  /** Null for nobody. Undefined for a client without `user`. */
  readonly user: string | null | undefined
  /** Aborts at the end. The page then forgets what it shows of this person. */
  readonly signal: AbortSignal
}

/** A session with what only its client needs. */
export interface OwnSession extends Session {
  /** Sends requests for this person. */
  readonly api: Api
  /** Aborts what is being sent: at the end, or when the API reports another user. */
  readonly sending: AbortSignal
  /** Names the API and the person in what is kept to resume later. */
  readonly place: string
  end(): void
  /** Ends the session if the page names somebody else. */
  look(): void
  /** Lets the person try again, since they may have logged in again after somebody else. */
  goOn(): void
}

/** Returns functions for the sessions of a client, of which one is current. */
export function createSessions({ user, ...options }: SessionOptions) {
  const nameOf = () => {
    if (typeof user !== 'function') return user
    try {
      // A server, which renders the page, doesn't know what the page knows.
      return (globalThis.location && user()) || null
    } catch {
      return null
    }
  }
  const tags = new Map<string, UserTag>()
  const tagOf = (name: Session['user']) => {
    if (typeof name !== 'string') return undefined
    const tag = tags.get(name) ?? userTagOf(options.baseUrl, name)
    tags.set(name, tag)
    return tag
  }
  let session: OwnSession | undefined
  const listeners = new Set<() => void>()
  const beginners = new Set<() => void>()
  const start = (name: Session['user']) => {
    session = newSession(name, nameOf, options, tagOf(name))
    // Later, since a component may ask while it renders, and what listens changes others.
    for (const listener of beginners) queueMicrotask(listener)
    for (const listener of listeners) session.signal.addEventListener('abort', listener)
    return session
  }
  /** Returns the latest session. If the user has changed, that one ends, and another begins. */
  function current(): OwnSession {
    const name = nameOf()
    if (session && name === session.user) return session
    if (session) queueMicrotask(session.end)
    return start(name)
  }
  /** Returns the session for a new request: another one after `end`, if `user` is a function. */
  function begin(): OwnSession {
    const latest = current()
    if (latest.signal.aborted) return typeof user === 'function' ? start(latest.user) : latest
    latest.goOn()
    return latest
  }
  function onEnd(listener: () => void): () => void {
    listeners.add(listener)
    session?.signal.addEventListener('abort', listener)
    return () => {
      listeners.delete(listener)
      session?.signal.removeEventListener('abort', listener)
    }
  }
  function onBegin(listener: () => void): () => void {
    beginners.add(listener)
    return () => void beginners.delete(listener)
  }
  // Somebody may have logged out in another tab.
  if (typeof user === 'function') globalThis.addEventListener?.('focus', () => current())
  return { current, begin, onBegin, onEnd }
}

/** Throws `user_changed` if `session` is no longer the one of `client`. Its own signal tells of its end. */
export function requireSession(client: { session(): Session }, session: Session): void {
  if (client.session() !== session) throw changed()
}

const changed = () => new PresignerError('user_changed', 'The user has logged out.')

function newSession(
  user: Session['user'],
  nameOf: () => Session['user'],
  options: ApiOptions,
  userTag: UserTag | undefined,
): OwnSession {
  let sending = new AbortController()
  const over = new AbortController()
  const end = () => {
    const reason = changed()
    sending.abort(reason)
    over.abort(reason)
  }
  const look = () => {
    if (nameOf() !== user) end()
  }
  const signal = () => {
    look()
    return sending.signal
  }
  const send = createApi(options, { user, userTag, signal })
  const api: Api = async (...request) => {
    const controller = sending
    try {
      return await send(...request)
    } catch (error) {
      // Also what else is being sent.
      if (error instanceof PresignerError && error.code === 'user_changed') controller.abort(error)
      throw error
    }
  }
  const place = user !== undefined ? `${options.baseUrl}#${user}` : options.baseUrl
  if (user === null) end()
  return {
    ...{ user, signal: over.signal, api, place, end, look },
    get sending() {
      return sending.signal
    },
    goOn() {
      if (!over.signal.aborted && sending.signal.aborted) sending = new AbortController()
    },
  }
}
