defmodule FlyDeployAgent.Instructions do
  @moduledoc """
  Reads a .beam's code as instructions, one list for each function, without what differs between two compilations of the same
  source: lines, types, the numbers of labels, literals, functions and texts, and the prints that LiveView gives to templates.

  `:beam_disasm` cannot read what releases hold: they lack the table of types, to which registers refer from OTP 25 on. The
  format is that of OTP's beam_disasm.erl and "The BEAM Book", chapter 6.
  """

  import Bitwise

  # An instruction with its operands; a label is counted from the first of its function.
  @type instruction :: tuple

  # Which operand is a number in the table of imports.
  @imported %{
    call_ext: 1,
    call_ext_last: 1,
    call_ext_only: 1,
    bif0: 0,
    bif1: 1,
    bif2: 1,
    bif3: 1,
    gc_bif1: 2,
    gc_bif2: 2,
    gc_bif3: 2
  }
  @lines [:line, :executable_line, :debug_line]
  @local [:call, :call_last, :call_only]
  # What the templates of LiveView become. Their print is made from numbers that the compiler counts up.
  @templates [Phoenix.LiveView.Rendered, Phoenix.LiveView.Comprehension]

  @doc "The instructions of every function, `{:ok, %{{name, arity} => [instruction]}}`."
  @spec read(binary) :: {:ok, %{{atom, arity} => [instruction]}} | :error
  def read(beam) do
    names = [~c"Code", ~c"ImpT", ~c"FunT", ~c"LitT", ~c"StrT"]

    with {:ok, {module, [{:atoms, atoms} | chunks]}} <-
           :beam_lib.chunks(beam, [:atoms | names], [:allow_missing_chunks]),
         [code | chunks] when is_binary(code) <- for({_, chunk} <- chunks, do: chunk) do
      {:ok, functions(code, tables(module, Map.new(atoms), chunks))}
    else
      _ -> :error
    end
  end

  defp tables(module, atoms, [imports, funs, literals, texts]) do
    %{
      module: module,
      atoms: atoms,
      imports: imports |> table() |> imports(atoms) |> List.to_tuple(),
      funs: funs |> table() |> funs(module, atoms) |> List.to_tuple(),
      literals: literals |> literals() |> List.to_tuple(),
      texts: if(is_binary(texts), do: texts, else: "")
    }
  end

  # In the order of the file, which beam_lib does not keep.
  defp imports(table, atoms),
    do: for(<<m::32, f::32, arity::32 <- table>>, do: {:extfunc, atoms[m], atoms[f], arity})

  defp table(<<_count::32, table::binary>>), do: table
  defp table(_missing), do: ""

  defp funs(table, module, atoms) do
    for <<name::32, arity::32, _label::32, _index::32, _free::32, _uniq::32 <- table>>,
      do: {module, atoms[name], arity}
  end

  @doc "The literals in a chunk, as they lie there: in the external term format."
  @spec literals(binary | :missing_chunk) :: [binary]
  # Compressed, until OTP 27.
  def literals(<<0::32, table::binary>>), do: each_literal(table)
  def literals(<<_size::32, zipped::binary>>), do: zipped |> :zlib.uncompress() |> each_literal()
  def literals(_missing), do: []

  defp each_literal(<<_count::32, rest::binary>>),
    do: for(<<size::32, literal::binary-size(size) <- rest>>, do: literal)

  defp functions(<<size::32, header::binary-size(size), code::binary>>, tables) do
    <<_set::32, _highest::32, _rest::binary>> = header
    functions = code |> instructions(tables, []) |> split([])
    # Functions are called by the label of their entry, the second one.
    entries = for {name, [_, _, {:label, entry} | _]} <- functions, into: %{}, do: {entry, name}
    Map.new(functions, fn {name, code} -> {name, relative(code, entries, tables.module)} end)
  end

  defp instructions(<<>>, _tables, done), do: Enum.reverse(done)

  defp instructions(<<op, rest::binary>>, tables, done) do
    {name, arity} = :beam_opcodes.opname(op)
    {operands, rest} = operands(rest, arity, tables, [])

    cond do
      name == :int_code_end -> Enum.reverse(done)
      name in @lines -> instructions(rest, tables, done)
      true -> instructions(rest, tables, [instruction(name, operands, tables) | done])
    end
  end

  defp instruction(:label, [{:u, n}], _tables), do: {:label, n}

  defp instruction(:make_fun2, [{:u, n}], tables), do: {:make_fun, elem(tables.funs, n)}
  defp instruction(:make_fun3, [{:u, n}, to, free], tables), do: {:make_fun, elem(tables.funs, n), to, free}

  defp instruction(:bs_put_string, [{:u, length}, {:u, from}], tables),
    do: {:bs_put_string, text(tables, from, length)}

  defp instruction(:bs_match_string, [fail, context, {:u, bits}, {:u, from}], tables),
    do: {:bs_match_string, fail, context, bits, text(tables, from, div(bits + 7, 8))}

  defp instruction(:bs_create_bin, operands, tables) do
    {operands, [{:list, segments}]} = Enum.split(operands, -1)
    List.to_tuple([:bs_create_bin | operands] ++ [{:list, segments(segments, tables)}])
  end

  defp instruction(name, operands, tables) when is_map_key(@imported, name) do
    {before, [{:u, n} | rest]} = Enum.split(operands, @imported[name])
    List.to_tuple([name | before] ++ [elem(tables.imports, n) | rest])
  end

  # Up to OTP 28 the compiler adds the fields to a struct of constants, later to an empty map.
  defp instruction(:put_map_assoc, [fail, map, to, live, {:list, fields}], _tables) do
    fields = if template?(map) or template?(fields), do: without_print(fields), else: fields
    {:put_map_assoc, fail, map, to, live, {:list, fields}}
  end

  defp instruction(name, operands, _tables), do: List.to_tuple([name | operands])

  defp template?({:literal, %{__struct__: module}}), do: module in @templates
  defp template?([{:atom, :__struct__}, {:atom, module} | _fields]), do: module in @templates
  defp template?([_field, _value | fields]), do: template?(fields)
  defp template?(_other), do: false

  defp without_print([{:atom, :fingerprint}, {:integer, _print} | rest]), do: rest
  defp without_print([field, value | rest]), do: [field, value | without_print(rest)]
  defp without_print([]), do: []

  # What is put into a binary as it is, is named by its place in the table of texts.
  defp segments([{:atom, :string}, n, unit, flags, {:u, from}, {:integer, length} | rest], tables),
    do: [{:text, text(tables, from, length)}, n, unit, flags | segments(rest, tables)]

  defp segments([type, n, unit, flags, value, size | rest], tables),
    do: [type, n, unit, flags, value, size | segments(rest, tables)]

  defp segments(rest, _tables), do: rest

  defp text(%{texts: texts}, from, length) when from + length <= byte_size(texts),
    do: :binary.part(texts, from, length)

  # -- operands

  defp operands(rest, 0, _tables, done), do: {Enum.reverse(done), rest}

  defp operands(rest, n, tables, done) do
    {operand, rest} = operand(rest, tables)
    operands(rest, n - 1, tables, [operand | done])
  end

  defp operand(<<kind::4, _::1, 7::3, rest::binary>>, tables), do: extended(kind, rest, tables)
  defp operand(<<n::4, 0::1, tag::3, rest::binary>>, tables), do: {tagged(tag, n, tables), rest}

  defp operand(<<_::5, tag::3, _::binary>> = code, tables) do
    {n, rest} = value(code)
    {tagged(tag, n, tables), rest}
  end

  defp tagged(0, n, _tables), do: {:u, n}
  defp tagged(1, n, _tables), do: {:integer, n}
  defp tagged(2, 0, _tables), do: nil
  defp tagged(2, n, tables), do: {:atom, tables.atoms[n]}
  defp tagged(3, n, _tables), do: {:x, n}
  defp tagged(4, n, _tables), do: {:y, n}
  defp tagged(5, n, _tables), do: {:f, n}
  defp tagged(6, n, _tables), do: {:integer, n}

  # A list, a register of floats, what to allocate, a literal, a register with its type.
  defp extended(1, code, tables) do
    {n, rest} = value(code)
    {operands, rest} = operands(rest, n, tables, [])
    {{:list, operands}, rest}
  end

  defp extended(2, code, _tables) do
    {n, rest} = value(code)
    {{:fr, n}, rest}
  end

  defp extended(3, code, tables) do
    {n, rest} = value(code)
    {operands, rest} = operands(rest, 2 * n, tables, [])
    {{:alloc, operands}, rest}
  end

  defp extended(4, code, tables) do
    {n, rest} = value(code)
    {{:literal, :erlang.binary_to_term(elem(tables.literals, n))}, rest}
  end

  defp extended(5, code, tables) do
    {register, rest} = operand(code, tables)
    {_type, rest} = value(rest)
    {register, rest}
  end

  # Small numbers lie in the tag's byte, or there and in the next one; others in as many bytes as these say.
  defp value(<<n::4, 0::1, _tag::3, rest::binary>>), do: {n, rest}
  defp value(<<high::3, 0b01::2, _tag::3, low, rest::binary>>), do: {high <<< 8 ||| low, rest}

  defp value(<<0b111::3, 0b11::2, _tag::3, rest::binary>>) do
    {length, rest} = value(rest)
    number(rest, length + 9)
  end

  defp value(<<length::3, 0b11::2, _tag::3, rest::binary>>), do: number(rest, length + 2)

  # Two's complement.
  defp number(code, length) do
    {bytes, rest} = :erlang.split_binary(code, length)
    n = :binary.decode_unsigned(bytes)
    {if(n >= 1 <<< (8 * length - 1), do: n - (1 <<< (8 * length)), else: n), rest}
  end

  # -- functions

  # A function begins with a label, which its func_info follows.
  defp split([{:label, _} = label, {:func_info, _, {:atom, name}, {:u, arity}} = info | rest], done) do
    {body, rest} = body(rest, [])
    split(rest, [{{name, arity}, [label, info | body]} | done])
  end

  defp split([], done), do: done

  defp body([{:label, _}, {:func_info, _, _, _} | _] = rest, done), do: {Enum.reverse(done), rest}
  defp body([], done), do: {Enum.reverse(done), []}
  defp body([instruction | rest], done), do: body(rest, [instruction | done])

  defp relative([{:label, base} | _] = code, entries, module) do
    for instruction <- code do
      case instruction do
        {:label, n} ->
          {:label, n - base}

        call when elem(call, 0) in @local ->
          {:f, entry} = elem(call, 2)
          {name, arity} = Map.get(entries, entry, {nil, 0})
          put_elem(call, 2, {module, name, arity})

        other ->
          related(other, base)
      end
    end
  end

  defp related({:literal, _} = literal, _base), do: literal
  defp related({:f, 0}, _base), do: {:f, 0}
  defp related({:f, n}, base), do: {:f, n - base}
  defp related({:list, operands}, base), do: {:list, Enum.map(operands, &related(&1, base))}

  defp related(operand, base) when is_tuple(operand),
    do: operand |> Tuple.to_list() |> Enum.map(&related(&1, base)) |> List.to_tuple()

  defp related(operand, _base), do: operand
end
