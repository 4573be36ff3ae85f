/** Thrown inside a rendering; what the template's author or the limits have to say. */
export class TemplateStop extends Error {
  constructor(
    readonly code: 'template.raised' | 'template.limit',
    message: string,
  ) {
    super(message);
  }
}
