/** Returns a function that creates one value for each object, and keeps it as long as the object. */
export function oneEach<Owner extends object, Value>(create: () => Value): (owner: Owner) => Value {
  const values = new WeakMap<Owner, Value>()
  return (owner) => {
    const value = values.get(owner) ?? create()
    values.set(owner, value)
    return value
  }
}
