import {
  type Checked,
  each,
  isBoolean,
  isListOf,
  isNullOr,
  isNumber,
  isObject,
  isOptional,
  isString,
} from './check.ts'
import type * as S from './sharing-responses.ts'

const isTextOrNull = isNullOr(isString)
/** What all members of a box, and of its token, have in common. */
const terms = {
  ...each(isString, 'bucket', 'from', 'title', 'deadline'),
  ...each(isNumber, 'maxFiles', 'maxBytes', 'maxTotalBytes'),
  message: isTextOrNull,
  allowedTypes: isNullOr(isListOf(isString)),
}
const counts = isObject(each(isNumber, 'files', 'bytes'))
const page = { unavailable: isOptional(isListOf(isString)), cursor: isOptional(isString) }

export const isGrant = isObject<S.Grant>({
  ...each(isString, 'id', 'url', 'bucket', 'key', 'name', 'deadline', 'createdAt'),
  ...each(isTextOrNull, 'label', 'download', 'lastUsedAt'),
  ...each(isNullOr(isNumber), 'uses', 'usesLeft'),
  ...each(isBoolean, 'hasPassword', 'direct'),
  ...each(isNumber, 'size', 'wrongPasswords'),
  restrictions: isNullOr(
    isObject<S.GrantRestrictions>({
      notBefore: isOptional(isString),
      ...each(isOptional(isListOf(isString)), 'ips', 'countries', 'notCountries'),
    }),
  ),
})

export const isGrantPage = isObject<S.GrantPage>({ ...page, grants: isListOf(isGrant) })

export const isDropBox = isObject<S.DropBox>({
  ...terms,
  ...each(isString, 'id', 'url', 'prefix', 'createdAt'),
  hasPassword: isBoolean,
  wrongPasswords: isNumber,
  received: counts,
})

export const isDropBoxPage = isObject<S.DropBoxPage>({ ...page, dropBoxes: isListOf(isDropBox) })

const isReceived = isObject<S.ReceivedFile>({
  ...each(isString, 'key', 'bucket', 'name', 'mimetype', 'receivedAt'),
  size: isNumber,
  sender: isNullOr(isObject(each(isString, 'name', 'note'))),
  country: isTextOrNull,
})

export const isReceivedPage = isObject<S.ReceivedPage>({
  files: isListOf(isReceived),
  cursor: isOptional(isString),
})

/** Accepts a response of `POST /d/:secret/token`. `endpoint` is the URL of the API, with its path. */
export const isDropBoxToken = isObject({
  ...terms,
  ...each(isString, 'token', 'expiresAt', 'endpoint'),
  left: counts,
})
export type DropBoxToken = Checked<typeof isDropBoxToken>
