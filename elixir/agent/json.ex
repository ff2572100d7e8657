defmodule FlyDeployAgent.Json do
  @moduledoc """
  Writes JSON. A release may lack every JSON library, and Elixir has one of its own only from 1.18 on.
  """

  @doc """
  Encodes maps, lists, strings, atoms, numbers, booleans and nil. Control characters inside strings become spaces and
  bytes that are not UTF-8 become `?`, so that nothing read from an application can steer a terminal.
  """
  @spec encode(term) :: binary
  def encode(term), do: term |> value() |> IO.iodata_to_binary()

  defp value(nil), do: "null"
  defp value(true), do: "true"
  defp value(false), do: "false"
  defp value(n) when is_integer(n), do: Integer.to_string(n)
  defp value(f) when is_float(f), do: Float.to_string(f)
  defp value(atom) when is_atom(atom), do: atom |> Atom.to_string() |> value()
  defp value(text) when is_binary(text), do: [?", escape(text, []), ?"]

  defp value(list) when is_list(list),
    do: [?[, list |> Enum.map(&value/1) |> Enum.intersperse(?,), ?]]

  defp value(map) when is_map(map) do
    fields = for {key, item} <- map, do: [key |> to_string() |> value(), ?:, value(item)]
    [?{, Enum.intersperse(fields, ?,), ?}]
  end

  defp escape(<<>>, done), do: Enum.reverse(done)
  defp escape(<<?", rest::binary>>, done), do: escape(rest, ["\\\"" | done])
  defp escape(<<?\\, rest::binary>>, done), do: escape(rest, ["\\\\" | done])

  defp escape(<<c::utf8, rest::binary>>, done) when c < 0x20 or c in 0x7F..0x9F,
    do: escape(rest, [?\s | done])

  defp escape(<<c::utf8, rest::binary>>, done), do: escape(rest, [<<c::utf8>> | done])
  defp escape(<<_, rest::binary>>, done), do: escape(rest, [?? | done])
end
