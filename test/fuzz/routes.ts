import { OPERATIONS, openApiDocument } from '../../tools/dev/openapi/document.ts'
import { app } from '../support/every-plugin.ts'

/** A schema of the document, as far as requests need it. */
export interface Schema {
  readonly type?: string | readonly string[]
  readonly enum?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
}

interface Response {
  readonly $ref?: string
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>
}

interface Document {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly parameters?: readonly {
              readonly name: string
              readonly in: string
              readonly schema: Schema
            }[]
            readonly requestBody?: {
              readonly content: Readonly<Record<string, { readonly schema: Schema }>>
            }
            readonly responses: Readonly<Record<string, Response>>
          }
        >
      >
    >
  >
  readonly components: { readonly responses: Readonly<Record<string, Response>> }
}

/** A route, with what the document promises of it. */
export interface Route {
  /** As the log has it: `GET /files/:key/url`. */
  readonly name: string
  readonly method: string
  readonly path: string
  /** The scopes of which a caller needs one. Null if it needs no credentials. */
  readonly scopes: readonly string[] | null
  readonly query: readonly { readonly name: string; readonly schema: Schema }[]
  readonly body: Schema | null
  readonly statuses: readonly string[]
  /** The codes of its errors. */
  readonly codes: readonly string[]
}

/** Reads the routes of the document, which is made from those of the Worker with all plugins. */
export function readRoutes(): readonly Route[] {
  const sources = { routes: app.routes as never, version: '0.0.0', when: new Map() }
  const { paths, components } = openApiDocument(sources) as Document
  return Object.entries(OPERATIONS).map(([name, { scopes = null }]) => {
    const [method = '', path = ''] = name.split(' ')
    const documented = paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]
    if (documented === undefined) throw new Error(`The document has no ${name}.`)
    const { parameters = [], requestBody, responses } = documented
    const all = Object.entries(responses).map(([status, response]) => {
      const shared = response.$ref?.split('/').at(-1)
      const { content } =
        shared === undefined ? response : (components.responses[shared] ?? response)
      return { status, schemas: content?.['application/json']?.schema.allOf ?? [] }
    })
    return {
      ...{ name, method, path, scopes },
      query: parameters.filter((parameter) => parameter.in === 'query'),
      body: requestBody?.content['application/json']?.schema ?? null,
      statuses: all.map(({ status }) => status),
      codes: all.flatMap(({ schemas }) =>
        schemas.flatMap(({ properties }) => properties?.code?.enum ?? []),
      ),
    }
  })
}
