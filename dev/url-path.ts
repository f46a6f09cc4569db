import nodePath, { type PlatformPath } from 'node:path'

/** `file` below `folder` as a URL names it, with `/` on Windows too. */
export const urlPath = (
  folder: string,
  file: string,
  { relative, sep }: Pick<PlatformPath, 'relative' | 'sep'> = nodePath,
): string => relative(folder, file).replaceAll(sep, '/')
