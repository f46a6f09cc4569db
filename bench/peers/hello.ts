/** The least that a Worker can do: what the runtime itself costs. */
export default {
  fetch: () => new Response('hello'),
} satisfies ExportedHandler
