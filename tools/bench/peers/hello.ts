/** The smallest possible Worker, which shows the runtime's own cost. */
export default {
  fetch: () => new Response('hello'),
} satisfies ExportedHandler
