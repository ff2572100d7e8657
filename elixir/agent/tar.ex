defmodule FlyDeployAgent.Tar do
  @moduledoc """
  The entries of a gzipped tar, one after the other: `%{name, type, size}`, where `type` is the character that tar has for it. What is
  no tar is refused, see `FlyDeployAgent.Gzip`.
  """

  alias FlyDeployAgent.Gzip

  import Bitwise
  import FlyDeployAgent.Gzip, only: [refuse: 1]

  @block 512

  @type entry :: %{name: binary, type: byte, size: non_neg_integer}

  @doc "The next entry, nil at the archive's end."
  @spec next(Gzip.t()) :: {entry | nil, Gzip.t()}
  def next(file), do: next(file, %{})

  # Extensions that come before an entry say what its own fields have no room for.
  defp next(file, extensions) do
    {block, file} = Gzip.take(file, @block)

    case header(block) do
      nil ->
        {nil, file}

      %{type: ?x} = header ->
        {records, file} = content(file, header)
        next(file, Map.merge(extensions, pax(records)))

      # GNU's way to have a long name, or the target of a link.
      %{type: ?L} = header ->
        {name, file} = content(file, header)
        next(file, Map.put(extensions, "path", text(name)))

      %{type: type} = header when type in [?g, ?K] ->
        file |> pass_by(header) |> next(extensions)

      header ->
        size = if extensions["size"], do: number(extensions["size"], 10), else: header.size
        {%{header | name: Map.get(extensions, "path", header.name), size: size}, file}
    end
  end

  # POSIX 1003.1, "ustar Interchange Format".
  defp header(<<0::size(@block)-unit(8)>>), do: nil

  defp header(
         <<name::binary-size(100), _mode_uid_gid::binary-size(24), size::binary-size(12),
           _mtime::binary-size(12), sum::binary-size(8), type, _linkname::binary-size(100),
           magic::binary-size(6), _version_to_devices::binary-size(82), prefix::binary-size(155),
           _::binary-size(12)>> = block
       ) do
    # The sum is over the block with blanks in the sum's own place.
    if sum |> text() |> number(8) != sum(block) - sum(sum) + 8 * ?\s,
      do: refuse("cannot be read: it is not a tar file")

    prefix = if magic == "ustar\0", do: text(prefix), else: ""
    name = if prefix == "", do: text(name), else: prefix <> "/" <> text(name)
    %{name: name, type: type, size: size |> text() |> number(8)}
  end

  defp sum(bytes, so_far \\ 0)
  defp sum(<<a, b, c, d, e, f, g, h, rest::binary>>, n), do: sum(rest, n + a + b + c + d + e + f + g + h)
  defp sum(<<>>, n), do: n

  defp text(field), do: field |> :binary.split(<<0>>) |> hd()

  defp number(text, base) do
    case text |> String.trim() |> Integer.parse(base) do
      {number, ""} when number >= 0 -> number
      _ -> refuse("cannot be read: it contains an invalid number")
    end
  end

  # Records "LENGTH KEY=VALUE\n", the length being that of the whole record.
  defp pax(""), do: %{}

  defp pax(records) do
    with {length, " " <> _} when length in 1..byte_size(records)//1 <- Integer.parse(records),
         {record, rest} = :erlang.split_binary(records, length),
         [_length, pair] <- :binary.split(record, " "),
         [key, value] <- :binary.split(pair, "=") do
      Map.put_new(pax(rest), key, String.replace_suffix(value, "\n", ""))
    else
      _ -> refuse("cannot be read: an extended header in it is damaged")
    end
  end

  @doc "What is in the entry that `next/1` has just given."
  @spec content(Gzip.t(), entry) :: {binary, Gzip.t()}
  def content(file, %{size: size}) do
    {content, file} = Gzip.take(file, size)
    {content, Gzip.skip(file, padding(size))}
  end

  @doc "Goes past it."
  @spec pass_by(Gzip.t(), entry) :: Gzip.t()
  def pass_by(file, %{size: size}), do: Gzip.skip(file, size + padding(size))

  defp padding(size), do: -size &&& @block - 1
end
