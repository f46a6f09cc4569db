/**
 * Commands for a POSIX shell with curl and sed that take one file through every step, to be pasted
 * one after another into one terminal. `origin` is the Worker's.
 */
export const walkThrough = (origin: string): string => `# 1. Make a file
file=$(mktemp) && echo "Hello from the edge" > "$file"

# 2. Ask for an upload URL
answer=$(curl -sS ${origin}/files/upload-url -H 'Content-Type: application/json' -d '{"fileName":"hello.txt","mimetype":"text/plain"}') && echo "$answer"
${take('uploadUrl')}
${take('key')}

# 3. Put the file into the bucket
curl -sS --fail -T "$file" -H 'Content-Type: text/plain' "$uploadUrl"

# 4. Confirm it
curl -sS ${origin}/files -H 'Content-Type: application/json' -d "{\\"key\\":\\"$key\\",\\"name\\":\\"hello.txt\\"}" && echo

# 5. Ask for a URL to show it
answer=$(curl -sS "${origin}/files/$key/url") && echo "$answer"
${take('url')}

# 6. Get it from the bucket
curl -sS --fail "$url"

# 7. List the files
curl -sS ${origin}/files && echo

# 8. Delete it
curl -sS -X DELETE -o /dev/null -w '%{http_code}\\n' "${origin}/files/$key" && rm "$file"
`

/**
 * A command that sets a variable to the text under its name in `$answer`, which must hold no
 * escapes.
 */
const take = (name: string): string =>
  `${name}=$(echo "$answer" | sed 's/.*"${name}":"\\([^"]*\\)".*/\\1/')`
