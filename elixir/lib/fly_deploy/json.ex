defmodule FlyDeploy.Json do
  @moduledoc false

  # A strict reader of RFC 8259: OTP has one from 27 on only, and a release may lack every library. Keys stay strings. Of
  # a key that comes twice the last one counts.

  @max_depth 64

  @doc """
  Reads one JSON text.

      iex> FlyDeploy.Json.decode(~s({"a": [1, 2.5, true, null], "b": "\\\\u00e9"}))
      {:ok, %{"a" => [1, 2.5, true, nil], "b" => "é"}}

      iex> FlyDeploy.Json.decode(~s({"a": 1,}))
      {:error, "no valid JSON at byte 8"}
  """
  @spec decode(binary) :: {:ok, term} | {:error, String.t()}
  def decode(text) when is_binary(text) do
    {value, rest} = value(space(text), 0)

    case space(rest) do
      "" -> {:ok, value}
      rest -> fail(rest)
    end
  catch
    {:invalid, rest} -> {:error, "no valid JSON at byte #{byte_size(text) - byte_size(rest)}"}
  end

  defp value(text, depth) when depth > @max_depth, do: fail(text)
  defp value("{" <> rest, depth), do: object(space(rest), depth)
  defp value("[" <> rest, depth), do: array(space(rest), depth)
  defp value("\"" <> rest, _depth), do: string(rest, [])
  defp value("true" <> rest, _depth), do: {true, rest}
  defp value("false" <> rest, _depth), do: {false, rest}
  defp value("null" <> rest, _depth), do: {nil, rest}
  defp value(text, _depth), do: number(text)

  defp object("}" <> rest, _depth), do: {%{}, rest}
  defp object(text, depth), do: members(text, depth, [])

  defp members("\"" <> rest, depth, done) do
    {key, rest} = string(rest, [])
    {value, rest} = rest |> space() |> expect(?:) |> space() |> value(depth + 1)
    done = [{key, value} | done]

    case space(rest) do
      "," <> rest -> members(space(rest), depth, done)
      "}" <> rest -> {done |> Enum.reverse() |> Map.new(), rest}
      rest -> fail(rest)
    end
  end

  defp members(text, _depth, _done), do: fail(text)

  defp array("]" <> rest, _depth), do: {[], rest}
  defp array(text, depth), do: items(text, depth, [])

  defp items(text, depth, done) do
    {value, rest} = value(text, depth + 1)

    case space(rest) do
      "," <> rest -> items(space(rest), depth, [value | done])
      "]" <> rest -> {Enum.reverse(done, [value]), rest}
      rest -> fail(rest)
    end
  end

  # Runs of plain characters are taken as a whole: one of megabytes leaves no garbage for each of its characters. They are copied, so that
  # what is kept of a document does not keep all of it.
  defp string(text, done) do
    size = plain(text, 0)
    rest = binary_part(text, size, byte_size(text) - size)
    done = if size == 0, do: done, else: [text |> binary_part(0, size) |> :binary.copy() | done]

    case rest do
      "\"" <> rest -> {done |> Enum.reverse() |> IO.iodata_to_binary(), rest}
      "\\u" <> rest -> unicode(rest, done)
      <<?\\, letter, rest::binary>> -> string(rest, [escape(letter, rest) | done])
      rest -> fail(rest)
    end
  end

  # How many bytes of plain characters a text begins with.
  defp plain(<<char, rest::binary>>, size) when char in 0x20..0x7F and char != ?" and char != ?\\,
    do: plain(rest, size + 1)

  defp plain(<<char::utf8, rest::binary>>, size) when char in 0x80..0x7FF, do: plain(rest, size + 2)
  defp plain(<<char::utf8, rest::binary>>, size) when char in 0x800..0xFFFF, do: plain(rest, size + 3)
  defp plain(<<char::utf8, rest::binary>>, size) when char > 0xFFFF, do: plain(rest, size + 4)
  defp plain(_text, size), do: size

  for {letter, char} <- [
        {?", "\""},
        {?\\, "\\"},
        {?/, "/"},
        {?b, "\b"},
        {?f, "\f"},
        {?n, "\n"},
        {?r, "\r"},
        {?t, "\t"}
      ] do
    defp escape(unquote(letter), _rest), do: unquote(char)
  end

  defp escape(_letter, rest), do: fail(rest)

  defp unicode(text, done) do
    case hex(text) do
      {high, "\\u" <> low_text} when high in 0xD800..0xDBFF ->
        case hex(low_text) do
          {low, rest} when low in 0xDC00..0xDFFF ->
            string(rest, [<<0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00)::utf8>> | done])

          _ ->
            fail(low_text)
        end

      {char, rest} when char not in 0xD800..0xDFFF ->
        string(rest, [<<char::utf8>> | done])

      _ ->
        fail(text)
    end
  end

  defp hex(<<digits::binary-size(4), rest::binary>> = text) do
    case Base.decode16(digits, case: :mixed) do
      {:ok, <<number::16>>} -> {number, rest}
      :error -> fail(text)
    end
  end

  defp hex(text), do: fail(text)

  # An integer that is longer than any float's digits is refused: to convert one of megabytes keeps a scheduler busy for
  # minutes.
  @max_digits 309

  defp number(text) do
    after_whole = text |> minus() |> whole()
    after_fraction = fraction(after_whole)
    rest = exponent(after_fraction)

    whole = before(after_whole, text)

    case before(rest, after_whole) do
      "" -> {String.to_integer(whole), rest}
      # Erlang wants digits after a point.
      <<e, _::binary>> = exponent when e in ~c"eE" -> {float(whole <> ".0" <> exponent, text), rest}
      fraction -> {float(whole <> fraction, text), rest}
    end
  end

  defp minus("-" <> rest), do: rest
  defp minus(text), do: text

  defp whole("0" <> rest), do: rest
  defp whole(<<digit, _::binary>> = text) when digit in ?1..?9, do: digits(text, @max_digits)
  defp whole(text), do: fail(text)

  defp fraction(<<?., digit, rest::binary>>) when digit in ?0..?9, do: digits(rest)
  defp fraction(text), do: text

  defp exponent(<<e, sign, digit, rest::binary>>) when e in ~c"eE" and sign in ~c"+-" and digit in ?0..?9,
    do: digits(rest)

  defp exponent(<<e, digit, rest::binary>>) when e in ~c"eE" and digit in ?0..?9, do: digits(rest)
  defp exponent(text), do: text

  defp digits(text, most \\ :infinity)
  defp digits(text, 0), do: text
  defp digits(<<digit, rest::binary>>, :infinity) when digit in ?0..?9, do: digits(rest, :infinity)
  defp digits(<<digit, rest::binary>>, most) when digit in ?0..?9, do: digits(rest, most - 1)
  defp digits(text, _most), do: text

  # A number beyond what a float holds is refused.
  defp float(digits, text) do
    String.to_float(digits)
  rescue
    ArgumentError -> fail(text)
  end

  defp before(rest, text), do: binary_part(text, 0, byte_size(text) - byte_size(rest))

  defp expect(text, char) do
    case text do
      <<^char, rest::binary>> -> rest
      _ -> fail(text)
    end
  end

  defp space(<<char, rest::binary>>) when char in ~c" \t\n\r", do: space(rest)
  defp space(text), do: text

  @spec fail(binary) :: no_return
  defp fail(rest), do: throw({:invalid, rest})
end
