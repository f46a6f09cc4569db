/** Who may open a grant, and when, as `LinkRestrictions` say it. */
export interface GrantRestrictions {
  notBefore?: string | undefined
  ips?: string[] | undefined
  countries?: string[] | undefined
  notCountries?: string[] | undefined
}

/** A link that counts its uses, and that can be withdrawn. Dates are ISO 8601 in UTC. */
export interface Grant {
  /** Names the grant in this API, in events and in logs. Nobody can open it with this id. */
  id: string
  /** The page that dispenses the file. A secret: whoever has it can open it. */
  url: string
  bucket: string
  key: string
  name: string
  /** Bytes. */
  size: number
  label: string | null
  /** How often it can be used in total; null without a limit. */
  uses: number | null
  usesLeft: number | null
  deadline: string
  hasPassword: boolean
  /** How many passwords of visitors were wrong. */
  wrongPasswords: number
  direct: boolean
  /** Name to save under. */
  download: string | null
  restrictions: GrantRestrictions | null
  createdAt: string
  lastUsedAt: string | null
}

interface Page {
  /** Present if some could not be read at the moment: their ids. */
  unavailable?: string[] | undefined
  /** Present while more pages may follow. */
  cursor?: string | undefined
}

export interface GrantPage extends Page {
  /** The newest first. */
  grants: Grant[]
}

interface BoxTerms {
  /** Who asks for files: plain text, and so are the others. Show them as text, not as HTML. */
  readonly from: string
  readonly title: string
  readonly message: string | null
  /** ISO 8601 in UTC. */
  readonly deadline: string
  readonly maxFiles: number
  /** Largest file, in bytes. */
  readonly maxBytes: number
  /** Bytes of all files together. */
  readonly maxTotalBytes: number
  /** Types such as `image/png` or `image/*`; null without a limit. */
  readonly allowedTypes: readonly string[] | null
}

/** A page on which anybody who knows its URL can drop files. Dates are ISO 8601 in UTC. */
export interface DropBox extends BoxTerms {
  /** Names the box in this API, in events and in logs. Nobody can open it with this id. */
  id: string
  /** The page for senders. A secret: whoever has it can upload. */
  url: string
  bucket: string
  /** The start of the keys of all files in it. */
  prefix: string
  hasPassword: boolean
  /** How many passwords of visitors were wrong. */
  wrongPasswords: number
  createdAt: string
  received: { files: number; bytes: number }
}

export interface DropBoxPage extends Page {
  /** The newest first. */
  dropBoxes: DropBox[]
}

/** A file that a drop box received. */
export interface ReceivedFile {
  key: string
  bucket: string
  name: string
  size: number
  mimetype: string
  receivedAt: string
  /** What the sender wrote: plain text. Show it as text, not as HTML. */
  sender: { name: string; note: string } | null
  /** ISO 3166 alpha-2. */
  country: string | null
}

export interface ReceivedPage extends Pick<Page, 'cursor'> {
  files: ReceivedFile[]
}

/** Who uploads. The box keeps it with each file, as plain text of up to 2 KB together. */
export interface DropBoxSender {
  readonly name?: string | undefined
  readonly note?: string | undefined
}

/** What a visitor gives to use a drop box. */
export interface DropBoxVisitor {
  /** Only for a box with a password. If it is wrong or missing, the code is `password_wrong`. */
  readonly password?: string | undefined
  readonly sender?: DropBoxSender | undefined
}

/** What a drop box asks for and allows. */
export interface DropBoxTerms extends BoxTerms {
  /** What the box still took when it was opened, from all senders together. */
  readonly left: { readonly files: number; readonly bytes: number }
}
