package javax.annotation;

/** The annotation of generated sources. Java has it in another package since version 9. */
public @interface Generated {
    String[] value();

    String date() default "";

    String comments() default "";
}
