import { relative } from 'node:path'
import { fragment, ROOT, siteLink } from './pages.ts'
import { referencePath } from './reference.ts'

/** The parts of markdown-it that this file uses. Its types are installed only with the site. */
interface Token {
  type: string
  tag: string
  content: string
  children: Token[] | null
  attrGet(name: string): string | null
  attrSet(name: string, value: string): void
}
interface State {
  tokens: Token[]
  readonly env: { readonly path: string; readonly realPath?: string }
  readonly Token: new (type: string, tag: string, nesting: -1 | 0 | 1) => Token
}
interface MarkdownIt {
  readonly core: { readonly ruler: { push(name: string, rule: (state: State) => void): void } }
}

/** Turns Markdown for GitHub into what the site needs: links, also to the reference, pictures and tabs. */
export function repositoryMarkdown(md: MarkdownIt): void {
  md.core.ruler.push('repository_links', (state) => {
    const page = pageOf(state)
    for (const [i, token] of state.tokens.entries()) {
      if (token.type === 'html_block') token.content = relativePictures(token.content)
      for (const child of token.children ?? []) {
        const href = child.type === 'link_open' ? child.attrGet('href') : null
        if (href !== null) child.attrSet('href', siteLink(page, href))
        if (child.type === 'image') withoutOtherHosts(child)
        // Vue would read `{{…}}` as an expression.
        if (child.type === 'code_inline') child.attrSet('v-pre', '')
      }
      const isHeading = state.tokens[i - 1]?.type === 'heading_open'
      if (token.children !== null && !isHeading)
        token.children = withReferenceLinks(state, token.children)
    }
  })
  md.core.ruler.push('tabs', (state) => {
    state.tokens = withTabs(state)
  })
}

const pageOf = ({ env }: State): string =>
  relative(ROOT, env.realPath ?? env.path).replaceAll('\\', '/')

/** Vue finds only pictures whose path begins with a dot. */
const relativePictures = (html: string): string =>
  html.replaceAll(/ (src|srcset)="(?![a-z]+:|[./])/g, ' $1="./')

/** Shows the text of a picture on another host, such as a button, in its place. */
function withoutOtherHosts(image: Token): void {
  if (!/^https?:/.test(image.attrGet('src') ?? '')) return
  image.type = 'text'
  image.tag = ''
}

function html(state: State, content: string): Token {
  const token = new state.Token('html_block', '', 0)
  token.content = content
  return token
}

/** Makes a link to the reference of each route that is written as code and isn't in a link. */
function withReferenceLinks({ Token }: State, children: readonly Token[]): Token[] {
  let isInLink = false
  return children.flatMap((child) => {
    if (/^link_/.test(child.type)) isInLink = child.type === 'link_open'
    const path = child.type === 'code_inline' && !isInLink ? referencePath(child.content) : null
    if (path === null) return [child]
    const link = new Token('link_open', 'a', 1)
    link.attrSet('href', `${path}#${fragment(child.content)}`)
    return [link, child, new Token('link_close', 'a', -1)]
  })
}

/**
 * Between `<!-- tabs -->` and `<!-- /tabs -->`, each paragraph that is only bold begins a tab. On
 * GitHub, it is a caption. The markup is that of VitePress's code groups, whose script switches
 * them.
 */
function withTabs(state: State): Token[] {
  let groups = 0
  const out: Token[] = []
  for (let i = 0; i < state.tokens.length; i++) {
    const token = state.tokens[i]
    if (token === undefined) break
    if (!isComment(token, 'tabs')) {
      out.push(token)
      continue
    }
    const end = state.tokens.findIndex((other, at) => at > i && isComment(other, '/tabs'))
    if (end < 0) throw new Error(`${pageOf(state)}: "<!-- tabs -->" has no end.`)
    out.push(...tabGroup(state, state.tokens.slice(i + 1, end), groups++))
    i = end
  }
  return out
}

const isComment = ({ type, content }: Token, name: string): boolean =>
  type === 'html_block' && content.trim() === `<!-- ${name} -->`

function tabGroup(state: State, tokens: readonly Token[], group: number): Token[] {
  const blocks: { caption: string; tokens: Token[] }[] = []
  for (let i = 0; i < tokens.length; i++) {
    const [, caption] = /^\*\*([^*]+)\*\*$/.exec(tokens[i + 1]?.content ?? '') ?? []
    const token = tokens[i]
    if (token === undefined) break
    if (token.type === 'paragraph_open' && caption !== undefined) {
      blocks.push({ caption, tokens: [] })
      i += 2
    } else blocks.at(-1)?.tokens.push(token)
  }
  if (blocks.length < 2)
    throw new Error(`${pageOf(state)}: tabs need two captions, such as **Worker**.`)
  const id = (i: number): string => `tab-${group}-${i}`
  const tabs = blocks.map(
    ({ caption }, i) =>
      `<input type="radio" name="group-${group}" id="${id(i)}"${i === 0 ? ' checked' : ''}><label data-title="${caption}" for="${id(i)}">${caption}</label>`,
  )
  return [
    html(
      state,
      `<div class="vp-code-group"><div class="tabs">${tabs.join('')}</div><div class="blocks">\n`,
    ),
    ...blocks.flatMap((block, i) => [
      html(state, `<div class="vp-block tab-block${i === 0 ? ' active' : ''}">\n`),
      ...block.tokens,
      html(state, '</div>\n'),
    ]),
    html(state, '</div></div>\n'),
  ]
}
