import nodePath, { type PlatformPath } from 'node:path'

/** Returns the path of `file` below `folder` for a URL, with `/` also on Windows. */
export const urlPath = (
  folder: string,
  file: string,
  { relative, sep }: Pick<PlatformPath, 'relative' | 'sep'> = nodePath,
): string => relative(folder, file).replaceAll(sep, '/')
