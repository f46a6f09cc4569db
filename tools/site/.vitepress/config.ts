import { relative } from 'node:path'
import { defineConfig } from 'vitepress'
import { deadLinks } from '../dead-links.ts'
import { repositoryMarkdown } from '../markdown.ts'
import { fragment, REPOSITORY, ROOT, sidebar, sitePath } from '../pages.ts'
import { writeReference } from '../reference.ts'
import { boostDocument, processTerm, searchedMarkdown, tokenize } from '../search.ts'

export default defineConfig({
  title: 'Edge presigner',
  description: 'Signed upload and download URLs for S3-compatible buckets, and links for <img>',
  lang: 'en-US',
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  srcDir: ROOT,
  // Everything that isn't README.md, client/README.md, or below docs/ and tools/site/reference/.
  srcExclude: [
    '{CHANGELOG,CONTRIBUTING,SECURITY}.md',
    '!(docs|client|tools)/**/*',
    'client/!(README.md)',
    'client/*/**/*',
    'tools/!(site)/**/*',
    'tools/site/!(reference)/**/*',
  ],
  rewrites: (path) => sitePath(path) ?? path,
  cleanUrls: false,
  // Examples name servers on localhost.
  ignoreDeadLinks: 'localhostLinks',
  vite: {
    publicDir: false,
    build: { chunkSizeWarningLimit: 1500 }, // the index of the search
    // The compiler's options of the repository are newer than this esbuild.
    optimizeDeps: { esbuildOptions: { tsconfigRaw: '{}' } },
    plugins: [
      {
        // The pages are outside of this folder, which has the package. The build renders them in it.
        name: 'vue-of-the-site',
        enforce: 'pre',
        resolveId: (id, _, { ssr }) =>
          ssr && /^vue(?:\/|$)/.test(id) ? { id, external: true } : undefined,
      },
    ],
  },
  markdown: {
    anchor: { slugify: fragment },
    config: (md) => repositoryMarkdown(md),
  },
  themeConfig: {
    search: {
      provider: 'local',
      options: {
        _render: (markdown, env, md) =>
          md.render(
            searchedMarkdown(relative(ROOT, env.path).replaceAll('\\', '/'), markdown),
            env,
          ),
        miniSearch: {
          options: { tokenize, processTerm },
          searchOptions: { boostDocument },
        },
      },
    },
    sidebar: sidebar(writeReference()) as never,
    outline: [2, 3],
    notFound: {
      title: 'This page does not exist',
      quote: 'Search for what you need, or start with the overview.',
      linkText: 'Overview',
    },
    nav: [{ text: 'GitHub', link: REPOSITORY }],
    editLink: {
      pattern: `${REPOSITORY}/edit/main/:path`,
      text: 'Edit this page',
    },
  },
  buildEnd({ outDir, site }) {
    const dead = deadLinks(outDir, site.base)
    if (dead.length > 0) throw new Error(`Dead links:\n${dead.join('\n')}`)
  },
})
