defmodule FlyDeploy.Output do
  @moduledoc false

  # A program's output, on this one's as it comes. It comes in pieces that may end within a character, while devices take whole characters.

  defstruct []

  @doc """
  Gives the text in bytes, and what may be the beginning of a further character. What is no UTF-8 is shown as U+FFFD.

      iex> FlyDeploy.Output.text("caf" <> <<0xC3>>)
      {"caf", <<0xC3>>}

      iex> {text, ""} = FlyDeploy.Output.text(<<0xFF, ?a, 0xE2, ?b>>)
      iex> IO.iodata_to_binary(text)
      "\uFFFDa\uFFFDb"
  """
  @spec text(binary) :: {iodata, binary}
  def text(bytes) do
    case :unicode.characters_to_binary(bytes) do
      text when is_binary(text) ->
        {text, ""}

      {:incomplete, text, rest} ->
        {text, rest}

      {:error, text, <<_, rest::binary>>} ->
        {more, rest} = text(rest)
        {[text, "\uFFFD" | more], rest}
    end
  end

  defimpl Collectable do
    def into(output), do: {"", &collect(&1, &2, output)}

    defp collect(rest, {:cont, bytes}, _output) do
      {text, rest} = FlyDeploy.Output.text(rest <> bytes)
      IO.write(text)
      rest
    end

    defp collect("", :done, output), do: output

    defp collect(_rest, :done, output) do
      IO.write("\uFFFD")
      output
    end

    defp collect(_rest, :halt, _output), do: :ok
  end
end
