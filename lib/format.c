/*
 * Formatted output. A conversion passes through three stages: its specification is read into a
 * struct spec, its value is turned into digits or text, and one function lays sign, prefix, zeros,
 * text and padding out in their order:
 *
 *     [spaces] [sign] [0x] [zeros] text [spaces]
 */
#include "lib/format.h"

#include "lib/string.h"

/* Where output goes; `length` counts on beyond the buffer's end. */
struct output {
    char *buffer;
    usize size;
    usize length;
};

enum size { SIZE_CHAR, SIZE_SHORT, SIZE_INT, SIZE_LONG };

/* One conversion, as the pattern asks for it. */
struct spec {
    bool left, zero, plus, space, alternate;
    int width;
    int precision; /* -1: none given */
    enum size size;
    char conversion;
};

/* A value on its way out. */
struct field {
    const char *prefix; /* sign or base, before the zeros */
    int zeros;
    const char *text;
    int length;
};

#define DIGITS_MAX 22  /* of 64 bits in octal */
#define COUNT_MAX 9999 /* a width or precision beyond is cut to this */

static void put(struct output *out, char character)
{
    if (out->length + 1 < out->size)
        out->buffer[out->length] = character;
    out->length++;
}

static void put_repeated(struct output *out, char character, int count)
{
    while (count-- > 0)
        put(out, character);
}

static void put_field(struct output *out, const struct spec *spec, const struct field *field)
{
    int padding = spec->width - (int)strlen(field->prefix) - field->zeros - field->length;

    if (!spec->left)
        put_repeated(out, ' ', padding);
    for (const char *sign = field->prefix; *sign; sign++)
        put(out, *sign);
    put_repeated(out, '0', field->zeros);
    for (int i = 0; i < field->length; i++)
        put(out, field->text[i]);
    if (spec->left)
        put_repeated(out, ' ', padding);
}

/* Writes the digits so that they end at `end`; returns where they begin. */
static char *digits_before(char *end, u64 value, unsigned int base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    for (; value; value /= base)
        *--end = digits[value % base];
    return end;
}

/* A number without its sign: as many zeros as precision, or flag '0', demand. */
static void put_number(struct output *out, struct spec *spec, u64 value, unsigned int base,
                       const char *prefix)
{
    char digits[DIGITS_MAX];
    char *text = digits_before(digits + DIGITS_MAX, value, base, spec->conversion == 'X');
    struct field field = {.prefix = prefix, .text = text};
    int least = spec->precision < 0 ? 1 : spec->precision;

    field.length = digits + DIGITS_MAX - text;
    if (base == 8 && spec->alternate)
        least = MAX(least, field.length + 1);
    if (spec->zero && !spec->left && spec->precision < 0)
        least = MAX(least, spec->width - (int)strlen(prefix));
    field.zeros = MAX(least - field.length, 0);
    put_field(out, spec, &field);
}

static void put_signed(struct output *out, struct spec *spec, s64 value)
{
    const char *sign = value < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";

    put_number(out, spec, value < 0 ? -(u64)value : (u64)value, 10, sign);
}

static void put_hex(struct output *out, struct spec *spec, u64 value)
{
    const char *prefix = spec->conversion == 'X' ? "0X" : "0x";

    put_number(out, spec, value, 16, spec->alternate && value ? prefix : "");
}

/* A pointer, all 16 digits of it. */
static void put_pointer(struct output *out, struct spec *spec, const void *pointer)
{
    spec->precision = 16;
    put_number(out, spec, (u64)pointer, 16, "0x");
}

static void put_string(struct output *out, struct spec *spec, const char *string)
{
    usize limit = spec->precision < 0 ? INT32_MAX : (usize)spec->precision;
    struct field field = {.prefix = "", .text = string ? string : "(null)"};

    field.length = strnlen(field.text, limit);
    put_field(out, spec, &field);
}

static void put_character(struct output *out, struct spec *spec, char character)
{
    put_field(out, spec, &(struct field){.prefix = "", .text = &character, .length = 1});
}

static s64 take_signed(enum size size, va_list *arguments)
{
    switch (size) {
    case SIZE_CHAR: return (signed char)va_arg(*arguments, int);
    case SIZE_SHORT: return (short)va_arg(*arguments, int);
    case SIZE_INT: return va_arg(*arguments, int);
    default: return va_arg(*arguments, long);
    }
}

static u64 take_unsigned(enum size size, va_list *arguments)
{
    switch (size) {
    case SIZE_CHAR: return (unsigned char)va_arg(*arguments, unsigned int);
    case SIZE_SHORT: return (unsigned short)va_arg(*arguments, unsigned int);
    case SIZE_INT: return va_arg(*arguments, unsigned int);
    default: return va_arg(*arguments, unsigned long);
    }
}

static bool read_flag(struct spec *spec, char flag)
{
    switch (flag) {
    case '-': return spec->left = true;
    case '0': return spec->zero = true;
    case '+': return spec->plus = true;
    case ' ': return spec->space = true;
    case '#': return spec->alternate = true;
    default: return false;
    }
}

/* A width or precision: digits, or `*` for an argument. */
static const char *read_count(const char *at, int *count, va_list *arguments)
{
    if (*at == '*') {
        int asked = va_arg(*arguments, int);

        *count = CLAMP(asked, -COUNT_MAX, COUNT_MAX);
        return at + 1;
    }
    for (*count = 0; *at >= '0' && *at <= '9'; at++)
        *count = MIN(*count * 10 + (*at - '0'), COUNT_MAX);
    return at;
}

static const char *read_size(const char *at, enum size *size)
{
    *size = SIZE_INT;
    if (*at == 'h') {
        *size = at[1] == 'h' ? SIZE_CHAR : SIZE_SHORT;
        return at + (at[1] == 'h' ? 2 : 1);
    }
    for (; *at == 'l' || *at == 'z'; at++)
        *size = SIZE_LONG;
    return at;
}

/* Reads a specification after its '%'; returns what follows the conversion character. */
static const char *read_spec(const char *at, struct spec *spec, va_list *arguments)
{
    *spec = (struct spec){.precision = -1};
    while (read_flag(spec, *at))
        at++;
    at = read_count(at, &spec->width, arguments);
    if (spec->width < 0) {
        spec->left = true;
        spec->width = -spec->width;
    }
    if (*at == '.')
        at = read_count(at + 1, &spec->precision, arguments);
    at = read_size(at, &spec->size);
    spec->conversion = *at;
    return *at ? at + 1 : at;
}

static void put_conversion(struct output *out, struct spec *spec, va_list *arguments)
{
    switch (spec->conversion) {
    case 'd':
    case 'i': put_signed(out, spec, take_signed(spec->size, arguments)); break;
    case 'u': put_number(out, spec, take_unsigned(spec->size, arguments), 10, ""); break;
    case 'o': put_number(out, spec, take_unsigned(spec->size, arguments), 8, ""); break;
    case 'x':
    case 'X': put_hex(out, spec, take_unsigned(spec->size, arguments)); break;
    case 'p': put_pointer(out, spec, va_arg(*arguments, void *)); break;
    case 's': put_string(out, spec, va_arg(*arguments, const char *)); break;
    case 'c': put_character(out, spec, va_arg(*arguments, int)); break;
    default: /* "%%"; an unknown conversion stands for itself */
        put(out, spec->conversion ? spec->conversion : '%');
    }
}

usize vformat(char *buffer, usize size, const char *pattern, va_list arguments)
{
    struct output out = {.buffer = buffer, .size = size};
    va_list rest;

    va_copy(rest, arguments);
    while (*pattern) {
        struct spec spec;

        if (*pattern != '%') {
            put(&out, *pattern++);
            continue;
        }
        pattern = read_spec(pattern + 1, &spec, &rest);
        put_conversion(&out, &spec, &rest);
    }
    va_end(rest);
    if (size)
        buffer[MIN(out.length, size - 1)] = '\0';
    return out.length;
}

usize format(char *buffer, usize size, const char *pattern, ...)
{
    va_list arguments;
    usize length;

    va_start(arguments, pattern);
    length = vformat(buffer, size, pattern, arguments);
    va_end(arguments);
    return length;
}
