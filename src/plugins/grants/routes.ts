import { newApp } from '../../http/new-app.ts'

/** Creates, lists, changes and withdraws grants. */
export const grantRoutes = newApp()

/** The pages of grants. The secret id in the path is the credential. */
export const grantPageRoutes = newApp()
