import { newApp } from '../../http/new-app.ts'

/** Creates, lists and closes drop boxes, and lists what they received. */
export const dropBoxRoutes = newApp()

/** The pages of drop boxes. The secret id in the path is the credential. */
export const dropBoxPageRoutes = newApp()
