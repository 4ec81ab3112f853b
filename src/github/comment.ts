import type { ApiFailure, GitHubApi } from './client.ts'

/** Where the comment stands and whose run writes it. */
export interface CommentPlace {
  readonly owner: string
  readonly repo: string
  readonly pullRequest: number
}

/** One line hidden in the body: key, commit and run, so that a comment is found again and never goes back in time. */
export interface Marker {
  readonly key: string
  readonly headSha: string
  readonly runNumber: number
  readonly runId: number
  readonly attempt: number
}

type CommentStatus = 'created' | 'updated' | 'unchanged' | 'stale' | 'skipped-no-pr' | 'skipped-read-only' | 'failed'

export interface CommentResult {
  readonly status: CommentStatus
  readonly id: number | null
  readonly url: string | null
  /** What to tell in the log when something kept the comment from being written. */
  readonly warning: string | null
}

export interface CommentWish {
  readonly mode: 'update' | 'recreate' | 'hide-and-recreate'
  /** Body without the marker. */
  readonly body: string
  readonly marker: Marker
  /** False: write only when an earlier comment of ours is there to be brought up to date. */
  readonly createWhenNone: boolean
}

interface ApiComment {
  readonly id: number
  readonly node_id: string
  readonly body?: string
  readonly html_url: string
  readonly user: { readonly login: string; readonly type: string } | null
}

/** Keys are percent-encoded whole, dashes too, so that no key can end the HTML comment or look like another. */
const encodeKey = (key: string): string =>
  encodeURIComponent(key).replace(
    /[-_.!~*'()]/g,
    char => `%${char.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
  )

export function markerLine(marker: Marker): string {
  return `<!-- hf-vram-calc key=${encodeKey(marker.key)} sha=${marker.headSha} run=${marker.runNumber}.${marker.attempt} id=${marker.runId} -->`
}

/** GitHub takes 65,536 characters of a body; what is left here is for counting otherwise than it does. */
const MOST_CHARACTERS = 60_000

/** How long the text below a marker may be. */
export const bodyLimit = (marker: Marker): number => MOST_CHARACTERS - markerLine(marker).length - 1

const MARKER = /^<!-- hf-vram-calc key=(\S*) sha=([0-9a-f]*) run=(\d+)\.(\d+) id=(\d+) -->$/

/** The marker of a body: its first line, exactly; a quoted or embedded one does not count. */
export function readMarker(body: string): (Omit<Marker, 'key'> & { readonly encodedKey: string }) | null {
  const match = MARKER.exec(body.split(/\r?\n/, 1)[0] ?? '')
  return match
    ? {
        encodedKey: match[1]!,
        headSha: match[2]!,
        runNumber: Number(match[3]),
        attempt: Number(match[4]),
        runId: Number(match[5]),
      }
    : null
}

/** Is the report behind marker `a` newer than that behind `b`? By run number, then attempt. */
function newer(a: { runNumber: number; attempt: number }, b: { runNumber: number; attempt: number }): boolean {
  return a.runNumber !== b.runNumber ? a.runNumber > b.runNumber : a.attempt > b.attempt
}

type Found = ApiComment & { readonly mark: NonNullable<ReturnType<typeof readMarker>> }

/** The pages of a pull request that are looked through; 100 comments each. */
const MOST_PAGES = 60

/**
 * Writes the one comment of this key: finds it on any page by marker and author, leaves newer reports alone, writes
 * nothing when the body is the same, collapses duplicates of ours, and after creating looks again so that two runs at
 * once end with one comment. A refusal is a result, never an exception: the verdict does not depend on it.
 */
export async function putComment(api: GitHubApi, place: CommentPlace, wish: CommentWish): Promise<CommentResult> {
  const listed = await ownComments(api, place, wish.marker)
  if (!listed.ok) return refusal(listed.failure)
  const { known } = listed
  const body = `${markerLine(wish.marker)}\n${wish.body}`
  const [current, ...duplicates] = listed.comments
  for (const duplicate of duplicates) await hide(api, place, duplicate)
  if (!current)
    return wish.createWhenNone
      ? create(api, place, wish, body, known)
      : { status: 'unchanged', id: null, url: null, warning: null }
  if (newer(current.mark, wish.marker))
    return {
      status: 'stale',
      id: current.id,
      url: current.html_url,
      warning: 'a newer run has already commented; this report is not posted over it',
    }
  const text = (whole: string) => whole.replace(/\r\n/g, '\n').split('\n').slice(1).join('\n').trim()
  if (text(current.body ?? '') === text(body))
    return { status: 'unchanged', id: current.id, url: current.html_url, warning: null }
  if (wish.mode !== 'update') {
    if (wish.mode === 'recreate') await remove(api, place, current.id)
    else await hide(api, place, current)
    return create(api, place, wish, body, known)
  }
  const updated = await api.request<ApiComment>('PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}', {
    owner: place.owner,
    repo: place.repo,
    comment_id: current.id,
    body,
  })
  if (updated.ok) return { status: 'updated', id: updated.data.id, url: updated.data.html_url, warning: null }
  // Deleted between the list and now: one fresh comment.
  if (updated.status === 404 || updated.status === 410) return create(api, place, wish, body, known)
  return refusal(updated)
}

/** Creates the comment; one of ours that another run created meanwhile (not `known`) makes the newer report stay. */
async function create(
  api: GitHubApi,
  place: CommentPlace,
  wish: CommentWish,
  body: string,
  known: ReadonlySet<number>,
): Promise<CommentResult> {
  const made = await api.request<ApiComment>('POST /repos/{owner}/{repo}/issues/{issue_number}/comments', {
    owner: place.owner,
    repo: place.repo,
    issue_number: place.pullRequest,
    body,
  })
  if (!made.ok) return refusal(made)
  const mine: CommentResult = { status: 'created', id: made.data.id, url: made.data.html_url, warning: null }
  const author = made.data.user?.login
  const again = await listPages(api, place)
  if (!again.ok) return mine
  const rivals = again.comments.filter(
    comment =>
      !known.has(comment.id) &&
      comment.user?.login === author &&
      comment.mark.encodedKey === encodeKey(wish.marker.key),
  )
  const best = rivals.reduce<Found | null>(
    (a, b) => (a === null || newer(b.mark, a.mark) || (!newer(a.mark, b.mark) && b.id < a.id) ? b : a),
    null,
  )
  for (const comment of rivals) if (best !== null && comment.id !== best.id) await remove(api, place, comment.id)
  return best === null || best.id === made.data.id
    ? mine
    : { status: 'updated', id: best.id, url: best.html_url, warning: null }
}

async function listPages(
  api: GitHubApi,
  place: CommentPlace,
): Promise<{ ok: true; comments: Found[] } | { ok: false; failure: ApiFailure }> {
  const comments: Found[] = []
  for (let page = 1; page <= MOST_PAGES; page++) {
    const answer = await api.request<ApiComment[]>('GET /repos/{owner}/{repo}/issues/{issue_number}/comments', {
      owner: place.owner,
      repo: place.repo,
      issue_number: place.pullRequest,
      per_page: 100,
      page,
    })
    if (!answer.ok) return { ok: false, failure: answer }
    for (const comment of answer.data) {
      const mark = readMarker(comment.body ?? '')
      if (mark) comments.push({ ...comment, mark })
    }
    if (!answer.next) break
  }
  return { ok: true, comments }
}

/** Our comments with this key, not minimized, newest report first; and every comment that carries a marker. */
async function ownComments(
  api: GitHubApi,
  place: CommentPlace,
  marker: Marker,
): Promise<{ ok: true; comments: Found[]; known: ReadonlySet<number> } | { ok: false; failure: ApiFailure }> {
  const listed = await listPages(api, place)
  if (!listed.ok) return listed
  const known = new Set(listed.comments.map(comment => comment.id))
  const key = encodeKey(marker.key)
  const keyed = listed.comments.filter(comment => comment.mark.encodedKey === key)
  if (keyed.length === 0) return { ok: true, comments: [], known }
  const { login, minimized } = await whoAmI(
    api,
    keyed.map(comment => comment.node_id),
  )
  const own = keyed.filter(comment => comment.user?.login === login && !minimized.has(comment.node_id))
  own.sort((a, b) => (newer(a.mark, b.mark) ? -1 : newer(b.mark, a.mark) ? 1 : b.id - a.id))
  return { ok: true, comments: own, known }
}

/** The token's own user and which candidates are minimized; without GraphQL the runner's bot and none. */
async function whoAmI(
  api: GitHubApi,
  nodes: readonly string[],
): Promise<{ login: string; minimized: ReadonlySet<string> }> {
  const answer = await api.graphql<{
    viewer?: { login?: string }
    nodes?: ({ id: string; isMinimized?: boolean } | null)[]
  }>('query($ids: [ID!]!) { viewer { login } nodes(ids: $ids) { ... on IssueComment { id isMinimized } } }', {
    ids: nodes.slice(0, 100),
  })
  const bot = 'github-actions[bot]'
  if (!answer.ok) return { login: bot, minimized: new Set() }
  const login = answer.data.viewer?.login ?? bot
  const minimized = (answer.data.nodes ?? []).filter(node => node?.isMinimized === true).map(node => node!.id)
  return { login: login === 'github-actions' ? bot : login, minimized: new Set(minimized) }
}

/** Minimizes a comment as outdated; where that is refused, deletes it (it is our own). */
async function hide(api: GitHubApi, place: CommentPlace, comment: ApiComment): Promise<void> {
  const answer = await api.graphql(
    'mutation($id: ID!) { minimizeComment(input: { subjectId: $id, classifier: OUTDATED }) { minimizedComment { isMinimized } } }',
    { id: comment.node_id },
  )
  if (!answer.ok) await remove(api, place, comment.id)
}

async function remove(api: GitHubApi, place: CommentPlace, id: number): Promise<void> {
  await api.request('DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}', {
    owner: place.owner,
    repo: place.repo,
    comment_id: id,
  })
}

function refusal(failure: ApiFailure): CommentResult {
  const none = { id: null, url: null }
  if (failure.status === 401 || failure.status === 403)
    return {
      status: 'skipped-read-only',
      ...none,
      warning:
        `the token may not comment (HTTP ${failure.status}: ${failure.message}); the job needs the permission pull-requests: write` +
        `${failure.accepted ? ` (accepted: ${failure.accepted})` : ''}. Runs for forks and Dependabot always have a read-only token, and locked conversations take no comment: the job summary holds the whole report`,
    }
  return {
    status: 'failed',
    ...none,
    warning: `the comment was not written (HTTP ${failure.status || 'no answer'}: ${failure.message}); the job summary holds the report`,
  }
}
